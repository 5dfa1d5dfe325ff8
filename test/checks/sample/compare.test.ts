import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Comparison, compareContents, type Extent } from '../../../src/checks/sample/compare.ts';
import { UserError } from '../../../src/errors.ts';
import { look } from '../../../src/tree/look.ts';

let directory: string;
let source: string;
let image: string;
let manifestFile: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'compare-'));
  [source, image, manifestFile] = ['source', 'image', 'manifest'].map((name) => path.join(directory, name)) as [
    string,
    string,
    string,
  ];
  fs.mkdirSync(path.join(source, 'etc'), { recursive: true });
  write('etc/passwd', 'root\n');
  write('etc/group', 'root\n');
  write('big', Buffer.alloc(2_500_000, 'abc'));
  write('empty', '');
  write('var.log', 'a line\n');
  fs.symlinkSync('passwd', path.join(source, 'etc/link'));
});
// not by fs.rmSync, for which a path may be too long
afterEach(() => void execFileSync('rm', ['-r', directory]));

const inSource = (file: string): string => path.join(source, file);
const inImage = (file: string): string => path.join(image, file);

function write(file: string, content: string | Buffer): void {
  fs.writeFileSync(inSource(file), content);
}

/** Walks the source, and copies it to where the image is mounted. */
function build(): void {
  look({ root: source, excludePatterns: [], ignorePatterns: ['*.log'], skipContents: [], manifestFile });
  execFileSync('cp', ['-a', source, image]);
}

function compare(extent: Extent = { kind: 'all' }, limit = 10): Comparison {
  return compareContents({ source, image, manifestFile, extent, limit }, { index: 0, of: 1 });
}

const messages = (extent?: Extent, limit?: number): string[] =>
  compare(extent, limit).differences.map(({ message }) => message);

/** Keeps size and times, as a fault would. */
function spoil(file: string, position: number): void {
  const { atime, mtime } = fs.statSync(file);
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, position);
  fs.writeSync(fd, Buffer.from([(byte[0] ?? 0) ^ 4]), 0, 1, position);
  fs.closeSync(fd);
  fs.utimesSync(file, atime, mtime);
}

describe('comparing all contents', () => {
  it('finds no difference in a copy, and counts what it read', () => {
    build();
    expect(compare()).toEqual({ files: 4, bytes: 2_500_010, differences: [], untold: 0, changed: [] });
  });

  it('finds other extended attributes than the file has in the source', () => {
    for (const file of ['etc/passwd', 'etc/group', 'big']) {
      execFileSync('setfattr', ['-n', 'user.origin', '-v', 'mirror', inSource(file)]);
    }
    build();
    execFileSync('setfattr', ['-n', 'user.origin', '-v', 'another', inImage('etc/passwd')]);
    execFileSync('setfattr', ['-x', 'user.origin', inImage('etc/group')]);
    expect(messages()).toEqual([
      "etc/group has other extended attributes than the chroot's",
      "etc/passwd has other extended attributes than the chroot's",
    ]);
  });

  it.each([0, 1_048_575, 1_048_576, 2_499_999])('finds a flipped bit at byte %i, and names the file', (position) => {
    build();
    spoil(inImage('big'), position);
    expect(messages()).toEqual([`big has other bytes than the chroot's, from byte ${position} on`]);
  });

  it.each<[string, () => void, string]>([
    ['is shorter', () => fs.truncateSync(inImage('big'), 7), 'big has 7 bytes instead of 2500000'],
    ['is missing', () => fs.rmSync(inImage('big')), 'big is missing'],
    ['is a link', () => link('big', '/etc/passwd'), 'big is a symlink instead of a file'],
    ['is a directory', () => directoryAt('big'), 'big is no file'],
    ['is a FIFO', () => fifo(inImage('big')), 'big is no file'],
  ])('finds a file that %s in the image', (_, change, message) => {
    build();
    change();
    expect(messages()).toEqual([message]);
  });

  function link(file: string, target: string): void {
    fs.rmSync(inImage(file));
    fs.symlinkSync(target, inImage(file));
  }

  function directoryAt(file: string): void {
    fs.rmSync(inImage(file));
    fs.mkdirSync(inImage(file));
  }

  function fifo(file: string): void {
    fs.rmSync(file);
    execFileSync('mkfifo', [file]);
  }

  it('ends after as many differences as it may name', () => {
    for (let count = 0; count < 9; count += 1) write(`x${count}`, 'x');
    build();
    for (let count = 0; count < 9; count += 1) spoil(inImage(`x${count}`), 0);
    expect(compare({ kind: 'all' }, 3).differences).toHaveLength(3);
  });

  it('leaves out files that change by themselves', () => {
    build();
    spoil(inImage('var.log'), 0);
    expect(messages()).toEqual([]);
  });

  it.each<[string, () => void, string]>([
    ['was written to', () => write('etc/group', 'toor\n'), 'etc/group was changed'],
    ['grew', () => fs.appendFileSync(inSource('etc/group'), 'x'), 'etc/group was changed'],
    ['has its times put back', () => spoil(inSource('etc/group'), 0), 'etc/group was changed'],
    ['was removed', () => fs.rmSync(inSource('etc/group')), 'etc/group is no longer there'],
    ['became a link', () => sourceLink('/etc/hostname'), 'etc/group is no longer there'],
    ['became a FIFO', () => fifo(inSource('etc/group')), 'etc/group was changed'],
  ])('can tell nothing of a file of the source that %s since then', (_, change, message) => {
    build();
    change();
    expect(compare()).toMatchObject({ differences: [], untold: 1, changed: [{ path: 'etc/group', message }] });
  });

  function sourceLink(target: string): void {
    fs.rmSync(inSource('etc/group'));
    fs.symlinkSync(target, inSource('etc/group'));
  }

  it('is led out of neither tree by a directory that became a link', () => {
    build();
    const outside = path.join(directory, 'outside');
    fs.renameSync(inSource('etc'), outside);
    fs.symlinkSync(outside, inSource('etc'));
    expect(compare()).toMatchObject({ differences: [], untold: 2 });
    fs.rmSync(inSource('etc'));
    fs.renameSync(outside, inSource('etc'));
    fs.renameSync(inImage('etc'), outside);
    fs.symlinkSync(outside, inImage('etc'));
    expect(messages()).toEqual(['etc/group is missing', 'etc/passwd is missing']);
  });

  it('takes names of any bytes', () => {
    const name = (root: string): Buffer => Buffer.from(`${root}/\xff\xe9 \n\\`, 'latin1');
    fs.writeFileSync(name(source), 'one');
    build();
    expect(compare()).toMatchObject({ files: 5, bytes: 2_500_013, differences: [], untold: 0 });
    fs.writeFileSync(name(image), 'two');
    expect(messages()).toEqual(["\\xff\\xe9 \\x0a\\ has other bytes than the chroot's, from byte 0 on"]);
  });

  it('takes paths that are too long for the kernel', () => {
    fs.mkdirSync(image);
    makeDeep(source, 'deep');
    makeDeep(image, 'deep');
    look({
      root: source,
      excludePatterns: ['etc', 'big', 'empty'],
      ignorePatterns: ['*.log'],
      skipContents: [],
      manifestFile,
    });
    expect(compare()).toMatchObject({ files: 1, bytes: 4, differences: [], untold: 0 });
    makeDeep(image, 'Deep');
    expect(messages()).toEqual([expect.stringMatching(/d\/file has other bytes than the chroot's, from byte 0 on$/)]);
  });

  /** A file below 20 directories with names of 250 bytes. */
  function makeDeep(root: string, content: string): void {
    const script = 'for i in $(seq 20); do mkdir -p "$0"; cd "$0"; done; printf "$1" >file';
    execFileSync('bash', ['-ec', script, 'd'.repeat(250), content], { cwd: root });
  }

  it('refuses a manifest that is not whole', () => {
    build();
    fs.truncateSync(manifestFile, 100);
    expect(() => compare()).toThrow(UserError);
  });
});

describe('comparing a sample', () => {
  const only = (...paths: string[]): Extent => ({ kind: 'sample', paths, budget: 0, seed: 1 });

  it('without time for others reads what must be read', () => {
    build();
    expect(compare(only('etc/passwd', 'big'))).toMatchObject({ files: 2, bytes: 2_500_005 });
    spoil(inImage('etc/passwd'), 2);
    expect(messages(only('etc/passwd'))).toEqual(["etc/passwd has other bytes than the chroot's, from byte 2 on"]);
    expect(messages(only('big'))).toEqual([]);
  });

  it('with time enough reads all the others as well, once', () => {
    build();
    const extent: Extent = { kind: 'sample', paths: ['big'], budget: 60_000, seed: 7 };
    expect(compare(extent)).toMatchObject({ files: 4, bytes: 2_500_010 });
  });

  it('reads of the others as much as there is time for, and no more', () => {
    for (let count = 0; count < 5_000; count += 1) write(`x${count}`, 'x');
    build();
    const { files } = compare({ kind: 'sample', paths: ['empty'], budget: 3, seed: 7 });
    expect(files).toBeGreaterThan(1);
    expect(files).toBeLessThan(5_004);
  });
});
