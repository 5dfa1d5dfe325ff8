import { expect, test } from 'vitest';
import { differencesFromSource } from '../../src/tree/differences.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { entry } from './example.ts';

const FILE = entry('bin/true', { mode: 0o755 });
const LINK = entry('lib', { type: 'symlink', target: 'usr/lib', size: 7 });
const NULL = entry('dev/null', { type: 'char', rdev: 259 });

test.each<[Entry, Partial<Entry>, string]>([
  [FILE, { type: 'fifo' }, 'bin/true is a fifo instead of a file'],
  [FILE, { mode: 0o4755 }, 'bin/true has mode 4755 instead of 0755'],
  [FILE, { uid: 1000, gid: 5 }, 'bin/true belongs to 1000:5 instead of 0:0'],
  [FILE, { size: 0 }, 'bin/true has 0 bytes instead of 10'],
  [LINK, { target: 'usr/lib32', size: 9 }, 'lib links to usr/lib32 instead of usr/lib'],
  [NULL, { rdev: 260 }, 'dev/null is device 260 instead of 259'],
])('%o with %o', (wanted, change, message) => {
  expect(messages([wanted], [{ ...wanted, ...change }])).toEqual([message]);
});

test('times, inodes and devices are not compared', () => {
  expect(messages([FILE], [{ ...FILE, mtime: 0n, ctime: 0n, dev: 9n, ino: 9n }])).toEqual([]);
});

test('missing and unexpected paths are named', () => {
  expect(messages([FILE, LINK], [LINK, NULL])).toEqual([
    'bin/true is missing',
    'dev/null is in the image and was not in the chroot',
  ]);
});

test('ignored entries may differ in every way, be missing and be unexpected', () => {
  const log = entry('var/log/syslog', { ignored: true });
  expect(messages([log], [{ ...log, size: 5, mode: 0o600, type: 'fifo' }])).toEqual([]);
  expect(messages([log], [])).toEqual([]);
  expect(messages([], [log])).toEqual([]);
});

test('an entry that the chroot did not ignore is compared', () => {
  expect(messages([FILE], [{ ...FILE, size: 5, ignored: true }])).toEqual(['bin/true has 5 bytes instead of 10']);
});

test('hard links are the same by what names share a file, not by its link count', () => {
  const perl = { ...entry('usr/bin/perl', { nlink: 3 }), ino: 5n };
  const twin = { ...perl, path: 'usr/bin/perl5' };
  expect(
    messages(
      [perl, twin],
      [
        { ...perl, nlink: 2 },
        { ...twin, nlink: 2 },
      ],
    ),
  ).toEqual([]);
  const apart = [
    { ...perl, nlink: 1 },
    { ...twin, nlink: 1, ino: 6n },
  ];
  expect(messages([perl, twin], apart)).toEqual([
    'usr/bin/perl shares its content with 0 other names instead of 1',
    'usr/bin/perl5 shares its content with 0 other names instead of 1',
  ]);
});

test('a file that shares its inode number with one of another file system is no hard link of it', () => {
  const one = entry('one', { ino: 5n, dev: 1n, nlink: 2 });
  const other = entry('other', { ino: 5n, dev: 2n, nlink: 2 });
  const image = [entry('one'), entry('other')];
  expect(messages([one, other], image)).toEqual([]);
});

test('no more differences than asked for', () => {
  const source = Array.from({ length: 50 }, (_, index) => entry(`file-${index}`));
  expect(differencesFromSource(source, [], 3).length).toBe(3);
  expect(differencesFromSource([], source, 3).length).toBe(3);
});

function messages(source: readonly Entry[], image: readonly Entry[]): string[] {
  return differencesFromSource(source, image, 100).map(({ message }) => message);
}
