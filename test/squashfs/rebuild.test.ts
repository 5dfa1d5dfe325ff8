import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CancelledError, VoidError } from '../../src/errors.ts';
import { openImage } from '../../src/squashfs/image-file.ts';
import type { SourceAccess } from '../../src/squashfs/source-file.ts';
import { readTree } from '../../src/squashfs/tree.ts';
import { copyImage, writeImage } from '../../src/squashfs/write-image.ts';
import { mountImage } from '../../src/system/mounts.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { accessTo, mksquashfs, rebuild } from './images.ts';
import { walkAll } from './same-trees.ts';
import { BLOCK, text } from './torture-tree.ts';

let directory: string;
let source: string;
let former: string;
let next: string;

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rebuild-'));
  source = path.join(directory, 'source');
  former = path.join(directory, 'former.img');
  next = path.join(directory, 'next.img');
  for (const name of ['source', 'mount']) fs.mkdirSync(path.join(directory, name));
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }), 120_000);

function write(name: string, content: Buffer | string): void {
  fs.writeFileSync(path.join(source, name), content);
}

describe('dead bytes', () => {
  it('are those of a removed file, to the byte', async () => {
    write('stays', crypto.randomBytes(3 * BLOCK));
    write('goes', crypto.randomBytes(2 * BLOCK));
    mksquashfs(source, former, []);
    fs.rmSync(path.join(source, 'goes'));
    const rebuilt = await rebuild(source, former, next, { known: 'nothing', keep: 'same content' });
    expect(rebuilt).toMatchObject({ dataBytes: 5 * BLOCK, appendedBytes: 0, deadBytes: 2 * BLOCK });
  });

  it('are none while one of two files with the same data stays', async () => {
    const content = crypto.randomBytes(2 * BLOCK);
    write('one', content);
    write('other', content);
    mksquashfs(source, former, []);
    fs.rmSync(path.join(source, 'one'));
    const rebuilt = await rebuild(source, former, next, { known: 'nothing', keep: 'same content' });
    expect(rebuilt).toMatchObject({ dataBytes: 2 * BLOCK, deadBytes: 0 });
  });

  it('of a block that files share are counted by their share, and whole when the last file has gone', async () => {
    write('one', crypto.randomBytes(1000));
    write('other', crypto.randomBytes(2000));
    mksquashfs(source, former, []);
    fs.rmSync(path.join(source, 'one'));
    const half = await rebuild(source, former, next, { known: 'nothing', keep: 'same content' });
    expect(half.deadBytes).toBe(1000);
    fs.rmSync(path.join(source, 'other'));
    const none = await rebuild(source, former, next, { known: 'nothing', keep: 'same content' });
    expect(none.deadBytes).toBe(3000);
  });
});

describe('contents that are there already', () => {
  it('are found in the former image and not written again', async () => {
    write('large', text(1, 4 * BLOCK + 3));
    write('small', text(2, 700));
    write('random', crypto.randomBytes(2 * BLOCK));
    mksquashfs(source, former, []);
    for (const name of ['large', 'small', 'random'])
      fs.renameSync(path.join(source, name), path.join(source, `new-${name}`));
    const rebuilt = await rebuild(source, former, next, { known: 'old contents', keep: 'nothing' });
    expect(rebuilt.read).toHaveLength(3);
    expect(rebuilt).toMatchObject({ appendedBytes: 0, deadBytes: 0 });
    await expectMounted('new-large', text(1, 4 * BLOCK + 3));
    await expectMounted('new-small', text(2, 700));
  });

  it('are written once when they are new and come twice', async () => {
    mksquashfs(source, former, []);
    const [large, small] = [crypto.randomBytes(2 * BLOCK), crypto.randomBytes(900)];
    for (const name of ['a', 'b', 'c']) {
      write(`large-${name}`, large);
      write(`small-${name}`, small);
    }
    const rebuilt = await rebuild(source, former, next, { known: 'nothing', keep: 'nothing' });
    expect(rebuilt.appendedBytes).toBe(2 * BLOCK + 900);
    await expectMounted('large-c', large);
    await expectMounted('small-b', small);
  });
});

describe('a hole', () => {
  it('is not read where the file system tells of it', async () => {
    mksquashfs(source, former, []);
    write('hole', '');
    fs.truncateSync(path.join(source, 'hole'), 100 * BLOCK);
    write('data', text(1, BLOCK + 1));
    const asked: number[] = [];
    const access: SourceAccess = {
      ...accessTo(source),
      nextData: (fd, position) => {
        const { size, blocks } = fs.fstatSync(fd);
        if (blocks > 0) return position;
        asked.push(position);
        return size;
      },
    };
    await writeEntries(walkAll(source), { access });
    // one question for all of it
    expect(asked).toEqual([0]);
    await expectMounted('hole', Buffer.alloc(100 * BLOCK));
    await expectMounted('data', text(1, BLOCK + 1));
  });
});

describe('a writer that is told to stop', () => {
  it('does so in the midst of a file', async () => {
    mksquashfs(source, former, []);
    write('file', crypto.randomBytes(40 * BLOCK));
    const stop = new AbortController();
    const access: SourceAccess = {
      ...accessTo(source),
      nextData: (_, position) => {
        if (position > 0) stop.abort();
        return position;
      },
    };
    await expect(writeEntries(walkAll(source), { access, signal: stop.signal })).rejects.toThrow(CancelledError);
    expect(fs.statSync(next).size).toBeLessThan(40 * BLOCK);
  });
});

describe('limits of the format', () => {
  it('data behind 4 GiB is read back by the kernel', async () => {
    write('kept', text(1, 2 * BLOCK));
    mksquashfs(source, former, []);
    write('large', text(2, 3 * BLOCK + 9));
    write('small', text(3, 500));
    const base = openImage(former);
    await copyImage(former, next);
    fs.truncateSync(next, 5 * 2 ** 30);
    const tree = readTree(base);
    const kept = Array.from({ length: tree.count }, (_, i) => tree.inode(i)).find(({ type }) => type === 'file');
    await writeImage({
      // a former image with a hole of 5 GiB in its data
      base: { ...base, superblock: { ...base.superblock, inodeTable: 5 * 2 ** 30 } },
      target: next,
      entries: walkAll(source),
      fileSource: ({ path: name }) =>
        name === 'kept' && kept?.type === 'file' ? { kind: 'kept', data: () => kept.data } : { kind: 'read' },
      xattrs: () => [],
      access: accessTo(source),
      time: 0,
    });
    base.close();
    expect(fs.statSync(next).size).toBeGreaterThan(5 * 2 ** 30);
    await expectMounted('kept', text(1, 2 * BLOCK));
    await expectMounted('large', text(2, 3 * BLOCK + 9));
    await expectMounted('small', text(3, 500));
    const again = openImage(next);
    expect(readTree(again).count).toBe(4);
    again.close();
  });

  it('65,535 owners are written, one more is refused in words', async () => {
    mksquashfs(source, former, []);
    const [root] = walkAll(source);
    if (root === undefined) throw new Error('a walk has a root');
    const owned = (count: number): Entry[] => {
      const fifo = (i: number): Entry => ({
        ...root,
        path: String(i).padStart(6, '0'),
        type: 'fifo',
        uid: i,
        gid: 0,
        nlink: 1,
      });
      return [{ ...root, uid: 0, gid: 0 }, ...Array.from({ length: count - 1 }, (_, i) => fifo(i + 1))];
    };
    await writeEntries(owned(65_535));
    const image = openImage(next);
    expect(image.superblock.idCount).toBe(65_535);
    const tree = readTree(image);
    expect(tree.inode(65_534).uid).toBe(65_534);
    image.close();
    await expect(writeEntries(owned(65_536))).rejects.toThrow(
      expect.objectContaining({
        name: 'SquashfsError',
        problem: 'limit',
        message: expect.stringContaining('65535 users'),
      }),
    );
  });

  it('a directory of 100,000 names is listed and each name is found by the kernel', async () => {
    mksquashfs(source, former, []);
    const [root] = walkAll(source);
    if (root === undefined) throw new Error('a walk has a root');
    const names = Array.from({ length: 100_000 }, (_, i) => `name-${String(i).padStart(6, '0')}-${'x'.repeat(i % 40)}`);
    await writeEntries([root, ...names.map((name): Entry => ({ ...root, path: name, type: 'fifo', nlink: 1 }))]);
    const mounted = await mountImage(next, path.join(directory, 'mount'));
    try {
      expect(fs.readdirSync(mounted.root).sort()).toEqual(names);
      const missing = names.filter(
        (name) => fs.lstatSync(path.join(mounted.root, name), { throwIfNoEntry: false }) === undefined,
      );
      expect(missing).toEqual([]);
    } finally {
      await mounted.close();
    }
  });

  it('a name between two directories far apart keeps its inode number', async () => {
    mksquashfs(source, former, []);
    const [root] = walkAll(source);
    if (root === undefined) throw new Error('a walk has a root');
    // inode numbers of a, b and c are more than 16 bits of difference apart
    const inside = Array.from(
      { length: 40_000 },
      (_, i): Entry => ({ ...root, path: `a/${100_000 + i}`, type: 'fifo', nlink: 1 }),
    );
    const directories = ['a', 'b', 'c'].map((name): Entry => ({ ...root, path: name }));
    const [a, b, c] = directories;
    if (a === undefined || b === undefined || c === undefined) throw new Error('there are three');
    const entries = [root, a, ...inside, b, c];
    await writeEntries(entries);
    const mounted = await mountImage(next, path.join(directory, 'mount'));
    try {
      const found = walkAll(mounted.root);
      expect(found.map(({ path: name }) => name)).toEqual(entries.map(({ path: name }) => name));
      expect(new Set(found.map(({ ino }) => ino)).size).toBe(40_004);
    } finally {
      await mounted.close();
    }
  });
});

describe('a source that is not as it was walked', () => {
  const cases: [string, (file: string) => void][] = [
    ['vanishes', (file) => fs.rmSync(file)],
    ['grows', (file) => fs.appendFileSync(file, 'x')],
    ['shrinks', (file) => fs.truncateSync(file, 5)],
    ['becomes a symlink', (file) => replace(file, () => fs.symlinkSync('/etc/passwd', file))],
    ['becomes a FIFO', (file) => replace(file, () => execFileSync('mkfifo', [file]))],
    ['becomes a directory', (file) => replace(file, () => fs.mkdirSync(file))],
  ];
  it.each(cases)('makes the candidate void: a file that %s', async (_, happen) => {
    mksquashfs(source, former, []);
    write('file', 'content');
    const entries = walkAll(source);
    happen(path.join(source, 'file'));
    await expect(writeEntries(entries)).rejects.toThrow(VoidError);
  });

  it('is told apart from a full disk', async () => {
    mksquashfs(source, former, []);
    write('file', crypto.randomBytes(3_000_000));
    const small = path.join(directory, 'mount');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    try {
      next = path.join(small, 'next.img');
      await expect(writeEntries(walkAll(source))).rejects.toThrow(
        expect.objectContaining({
          message: expect.stringMatching(/cannot write the image/),
          cause: expect.objectContaining({ code: 'ENOSPC' }),
        }),
      );
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

function replace(file: string, make: () => void): void {
  fs.rmSync(file);
  make();
}

/** All files are read. */
async function writeEntries(
  entries: readonly Entry[],
  options: { access?: SourceAccess; signal?: AbortSignal } = {},
): Promise<void> {
  const base = openImage(former);
  try {
    await copyImage(former, next);
    const fileSource = (): { kind: 'read' } => ({ kind: 'read' });
    await writeImage({
      base,
      target: next,
      entries,
      fileSource,
      xattrs: () => [],
      access: accessTo(source),
      time: 0,
      ...options,
    });
  } finally {
    base.close();
  }
}

async function expectMounted(name: string, content: Buffer): Promise<void> {
  const mounted = await mountImage(next, path.join(directory, 'mount'));
  try {
    expect(fs.readFileSync(path.join(mounted.root, name)).equals(content)).toBe(true);
  } finally {
    await mounted.close();
  }
}
