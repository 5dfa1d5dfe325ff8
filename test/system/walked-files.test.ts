import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extendedAttributes, nextData, openWalked } from '../../src/system/posix.ts';

let directory: string;
let rootFd: number;

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'walked-'));
  rootFd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
});

afterAll(() => {
  fs.closeSync(rootFd);
  fs.rmSync(directory, { recursive: true, force: true });
});

function setAttribute(name: string, value: string, file: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path.join(directory, file)]);
}

describe('extended attributes', () => {
  it('are read of the root, of a file whose name is no text, and of a symlink itself', () => {
    fs.writeFileSync(Buffer.from(`${directory}/\xff\xfe`, 'latin1'), '');
    fs.renameSync(Buffer.from(`${directory}/\xff\xfe`, 'latin1'), path.join(directory, 'n\xe4me'));
    fs.symlinkSync('n\xe4me', path.join(directory, 'link'));
    setAttribute('user.root', '0x00ff', '.');
    setAttribute('user.file', '0x', 'n\xe4me');
    setAttribute('trusted.long', `0x${'ab'.repeat(3000)}`, 'n\xe4me');
    setAttribute('trusted.link', '0x01', 'link');
    const file = Buffer.from('n\xe4me').toString('latin1');
    expect(extendedAttributes(rootFd, '')).toEqual([{ name: 'user.root', value: Buffer.from([0, 255]) }]);
    const ofFile = extendedAttributes(rootFd, file).sort((one, other) => (one.name < other.name ? -1 : 1));
    expect(ofFile).toEqual([
      { name: 'trusted.long', value: Buffer.alloc(3000, 0xab) },
      { name: 'user.file', value: Buffer.alloc(0) },
    ]);
    expect(extendedAttributes(rootFd, 'link')).toEqual([{ name: 'trusted.link', value: Buffer.from([1]) }]);
  });

  it('are none where a file has none, and an error where there is no file', () => {
    fs.writeFileSync(path.join(directory, 'plain'), '');
    expect(extendedAttributes(rootFd, 'plain')).toEqual([]);
    expect(() => extendedAttributes(rootFd, 'nowhere')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

it('a file is opened however long its path is', () => {
  const name = 'd'.repeat(250);
  let fd = rootFd;
  const parts = Array.from({ length: 30 }, () => name);
  for (const part of parts) {
    fs.mkdirSync(`/proc/self/fd/${fd}/${part}`);
    const next = fs.openSync(`/proc/self/fd/${fd}/${part}`, 'r');
    if (fd !== rootFd) fs.closeSync(fd);
    fd = next;
  }
  fs.writeFileSync(`/proc/self/fd/${fd}/file`, 'deep');
  fs.closeSync(fd);
  const opened = openWalked(rootFd, `${parts.join('/')}/file`, fs.constants.O_RDONLY);
  expect(fs.readFileSync(opened, 'utf8')).toBe('deep');
  fs.closeSync(opened);
  execFileSync('rm', ['-r', path.join(directory, name)]);
});

it('the next data of a file is found behind its holes', () => {
  const file = path.join(directory, 'sparse');
  const fd = fs.openSync(file, 'w+');
  const MEGABYTE = 2 ** 20;
  fs.ftruncateSync(fd, 10 * MEGABYTE);
  expect(nextData(fd, 0)).toBeNull();
  fs.writeSync(fd, 'x', 5 * MEGABYTE);
  expect(nextData(fd, 0)).toBe(5 * MEGABYTE);
  expect(nextData(fd, 5 * MEGABYTE)).toBe(5 * MEGABYTE);
  expect(nextData(fd, 6 * MEGABYTE)).toBeNull();
  fs.closeSync(fd);
});
