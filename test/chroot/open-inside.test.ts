import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isFileInside, namesInside, readInside } from '../../src/chroot/open-inside.ts';

let directory: string;
let chroot: string;

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'inside-'));
  chroot = path.join(directory, 'chroot');
  fs.mkdirSync(path.join(chroot, 'usr/bin'), { recursive: true });
  fs.writeFileSync(path.join(chroot, 'usr/bin/true'), 'inside');
  fs.writeFileSync(path.join(directory, 'secret'), 'outside');
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

test.each([
  ['bin', 'usr/bin', true],
  ['bin', '/usr/bin', true],
  ['bin', '../../../../usr/bin', true],
  ['bin', '/nowhere', false],
  ['bin', 'bin', false], // a loop
])('with %s linked to %s, bin/true is there: %s', (name, target, there) => {
  fs.symlinkSync(target, path.join(chroot, name));
  expect(isFileInside(chroot, 'bin/true')).toBe(there);
});

test('a link out of the chroot finds nothing of the outside', () => {
  fs.symlinkSync(directory, path.join(chroot, 'etc'));
  fs.symlinkSync(path.join(directory, 'secret'), path.join(chroot, 'link'));
  expect(isFileInside(chroot, 'etc/secret')).toBe(false);
  expect(isFileInside(chroot, 'link')).toBe(false);
  expect(readInside(chroot, 'etc/secret', 100)).toEqual({ kind: 'absent' });
  expect(readInside(chroot, 'link', 100)).toEqual({ kind: 'refused', why: 'it is a symlink' });
  expect(namesInside(chroot, 'etc')).toEqual([]);
});

test('a directory that is a symlink leads to the place inside', () => {
  fs.symlinkSync('/usr/bin', path.join(chroot, 'boot'));
  expect(namesInside(chroot, 'boot')).toEqual(['true']);
});

test('a directory is no file, a file no directory', () => {
  expect(isFileInside(chroot, 'usr/bin')).toBe(false);
  expect(namesInside(chroot, 'usr/bin/true')).toEqual([]);
  expect(readInside(chroot, 'usr/bin', 100)).toEqual({ kind: 'refused', why: 'it is not a regular file' });
});

test('a file is read whole, up to the limit', () => {
  expect(readInside(chroot, 'usr/bin/true', 6)).toEqual({ kind: 'read', data: Buffer.from('inside') });
  expect(readInside(chroot, 'usr/bin/true', 5)).toMatchObject({ kind: 'refused' });
  expect(namesInside(chroot, 'usr/bin')).toEqual(['true']);
});

test('a chroot that is gone has nothing', () => {
  fs.rmSync(chroot, { recursive: true });
  expect(isFileInside(chroot, 'bin/true')).toBe(false);
  expect(readInside(chroot, 'usr/bin/true', 10)).toEqual({ kind: 'absent' });
});

test('no descriptor stays open', () => {
  const before = fs.readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 20; round++) {
    isFileInside(chroot, 'bin/true');
    readInside(chroot, 'usr/bin/true', 1);
    readInside(chroot, 'none', 1);
    namesInside(chroot, 'usr');
  }
  expect(fs.readdirSync('/proc/self/fd').length).toBe(before);
});
