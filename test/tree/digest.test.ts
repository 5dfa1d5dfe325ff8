import { expect, test } from 'vitest';
import { treeDigest } from '../../src/tree/digest.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { entry } from './example.ts';

const FILE = entry('bin/true', { nlink: 2 });
const DIRECTORY = entry('bin', { type: 'directory', mode: 0o755 });
const FIFO = entry('run/initctl', { type: 'fifo' });
const LINK = entry('lib', { type: 'symlink', target: 'usr/lib', size: 7 });

test.each<[string, Entry, Partial<Entry>]>([
  ['path', FILE, { path: 'bin/false' }],
  ['type', FILE, { type: 'fifo' }],
  ['mode', FILE, { mode: 0o4644 }],
  ['user', FILE, { uid: 1 }],
  ['group', FILE, { gid: 1 }],
  ['size', FILE, { size: 11 }],
  ['time in nanoseconds', FILE, { mtime: FILE.mtime + 1n }],
  ['change time in nanoseconds', FILE, { ctime: FILE.ctime + 1n }],
  ['device number', FILE, { rdev: 5 }],
  ['target of a link', LINK, { target: 'usr/lIb' }],
  ['mode of a directory', DIRECTORY, { mode: 0o1777 }],
])('another %s makes another digest', (_, one, change) => {
  expect(treeDigest([{ ...one, ...change }])).not.toBe(treeDigest([one]));
});

test.each<[string, Entry, Partial<Entry>]>([
  ['times of a directory', DIRECTORY, { mtime: 1n, ctime: 2n }],
  ['times of a FIFO', FIFO, { mtime: 1n, ctime: 2n }],
  ['inode and device', FILE, { ino: 7n, dev: 9n }],
  ['link count', FILE, { nlink: 3 }],
])('%s make no difference', (_, one, change) => {
  expect(treeDigest([{ ...one, ...change }])).toBe(treeDigest([one]));
});

test('ignored entries make no difference', () => {
  const log = entry('var/log/syslog', { ignored: true });
  expect(treeDigest([DIRECTORY, FILE, log])).toBe(treeDigest([DIRECTORY, FILE]));
});

test('an entry more makes a difference, also when there are very many', () => {
  const many = Array.from({ length: 5000 }, (_, index) => entry(`usr/share/file-${index}`));
  expect(treeDigest(many)).not.toBe(treeDigest(many.slice(0, -1)));
});
