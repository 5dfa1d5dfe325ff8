import { expect, test } from 'vitest';
import { changesBetween } from '../../src/tree/changes.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { entry, THEN } from './example.ts';

const SECOND = 1_000_000_000n;
const STARTED = THEN + 100n * SECOND;
const UNTIL = STARTED + 10n * SECOND;

const FILE = entry('bin/true', { mode: 0o755 });
const LINK = entry('lib', { type: 'symlink', target: 'usr/lib', size: 7 });
const DIRECTORY = entry('bin', { type: 'directory' });
const NULL = entry('dev/null', { type: 'char', rdev: 259 });

test.each<[Entry, Partial<Entry>, string]>([
  [FILE, { type: 'fifo', size: 0 }, 'bin/true was a file and became a fifo'],
  [FILE, { mode: 0o4755 }, 'bin/true got mode 4755 instead of 0755'],
  [FILE, { uid: 1000 }, 'bin/true got another owner (1000:0)'],
  [FILE, { gid: 50 }, 'bin/true got another owner (0:50)'],
  [FILE, { size: 11 }, 'bin/true was written'],
  [FILE, { mtime: THEN + 1n }, 'bin/true was written'],
  [FILE, { ctime: THEN + 1n }, 'bin/true got other attributes or links'],
  [LINK, { target: 'usr/lib\n' }, 'lib became a link to usr/lib\\x0a'],
  [NULL, { rdev: 260 }, 'dev/null became another device'],
  [DIRECTORY, { mtime: THEN + 1n }, 'bin had names added or removed'],
])('%o with %o', (former, change, message) => {
  expect(messages([former], [{ ...former, ...change }])).toEqual([message]);
});

test('a walk that sees the same finds nothing', () => {
  expect(messages([DIRECTORY, FILE, LINK, NULL], [DIRECTORY, FILE, LINK, NULL])).toEqual([]);
});

test('another inode with the same attributes, or a change time of a directory, is no change', () => {
  const after = [
    { ...DIRECTORY, ctime: THEN + 1n },
    { ...FILE, ino: 1n, dev: 2n },
  ];
  expect(messages([DIRECTORY, FILE], after)).toEqual([]);
});

test('a device that was used is no change', () => {
  expect(messages([NULL], [{ ...NULL, mtime: STARTED, ctime: STARTED }])).toEqual([]);
  const used = { ...NULL, mtime: STARTED, ctime: STARTED };
  expect(messages([used], [used])).toEqual([]);
});

test('what comes and goes is named', () => {
  expect(messages([FILE, LINK], [LINK, NULL])).toEqual(['bin/true was removed', 'dev/null was added']);
});

test('ignored entries may change, come and go, and so may the times of the directory that holds them', () => {
  const dpkg = entry('var/lib/dpkg', { type: 'directory' });
  const backup = entry('var/lib/dpkg/status-old', { ignored: true });
  const touched = { ...dpkg, mtime: THEN + 1n };
  expect(messages([dpkg, backup], [touched])).toEqual([]);
  expect(messages([dpkg], [touched, backup])).toEqual([]);
  expect(messages([dpkg, backup], [touched, { ...backup, size: 99, ctime: STARTED }])).toEqual([]);
});

test('the top directory has a name', () => {
  const top = entry('', { type: 'directory' });
  expect(messages([top], [{ ...top, mode: 0o700 }])).toEqual(['the top directory got mode 0700 instead of 0644']);
});

test.each([
  ['long before the walk', -SECOND, []],
  ['in the tick before the walk', -4_000_000n, ['bin/true was changed while it was read']],
  ['during the walk', SECOND, ['bin/true was changed while it was read']],
  ['in the future of a wrong clock', 3600n * SECOND, []],
])('a file whose change time is %s', (_, offset, expected) => {
  const file = { ...FILE, ctime: STARTED + offset };
  expect(messages([file], [file])).toEqual(expected);
});

function messages(before: readonly Entry[], after: readonly Entry[]): string[] {
  const manifest = { started: STARTED, ignorePatterns: [], entries: before };
  return changesBetween(manifest, after, UNTIL).map(({ message }) => message);
}
