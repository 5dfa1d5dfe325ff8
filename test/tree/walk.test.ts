import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { type Excluder, excludeNothing, excluderOf } from '../../src/tree/excludes.ts';
import { walk } from '../../src/tree/walk.ts';

const ALL = { exclude: excludeNothing, ignore: excludeNothing };

let root: string;

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'walk-'));
});

afterEach(() => {
  execFileSync('rm', ['-rf', root]);
});

test('parents come first, siblings in byte order, depth first', () => {
  for (const directory of ['b', 'a/z', 'a-b', 'B']) fs.mkdirSync(path.join(root, directory), { recursive: true });
  for (const file of ['a/z/f', 'a.txt', 'é', '.hidden']) fs.writeFileSync(path.join(root, file), '');
  const expected = ['', '.hidden', 'B', 'a', 'a/z', 'a/z/f', 'a-b', 'a.txt', 'b', '\xc3\xa9'];
  expect(paths(walk(root, ALL))).toEqual(expected);
});

test('an entry has what lstat says', () => {
  const file = path.join(root, 'file');
  fs.writeFileSync(file, 'twelve bytes');
  fs.chownSync(file, 1234, 5678);
  fs.chmodSync(file, 0o4751);
  fs.linkSync(file, path.join(root, 'hard'));
  fs.utimesSync(file, 1_000_000_000.5, 1_000_000_000.5);
  const entry = find(walk(root, ALL), 'file');
  const { ino, dev, ctimeNs } = fs.lstatSync(file, { bigint: true });
  expect(entry).toEqual({
    path: 'file',
    type: 'file',
    mode: 0o4751,
    uid: 1234,
    gid: 5678,
    size: 12,
    mtime: 1_000_000_000_500_000_000n,
    ctime: ctimeNs,
    dev,
    ino,
    nlink: 2,
    rdev: 0,
    target: '',
    ignored: false,
  });
});

test('every type of file is told, and no symlink is followed', async () => {
  const socket = net.createServer().listen(path.join(root, 'socket'));
  await new Promise((resolve) => socket.once('listening', resolve));
  fs.mkdirSync(path.join(root, 'directory'));
  fs.symlinkSync('/etc', path.join(root, 'symlink'));
  execFileSync('mkfifo', [path.join(root, 'fifo')]);
  execFileSync('mknod', [path.join(root, 'char'), 'c', '1', '3']);
  execFileSync('mknod', [path.join(root, 'block'), 'b', '7', '300']);
  const entries = walk(root, ALL);
  await new Promise((resolve) => socket.close(resolve));
  const types = entries.slice(1).map(({ path: name, type, rdev, target }) => [name, type, rdev, target]);
  expect(types).toEqual([
    ['block', 'block', (7 << 8) | (300 & 0xff) | ((300 & ~0xff) << 12), ''],
    ['char', 'char', (1 << 8) | 3, ''],
    ['directory', 'directory', 0, ''],
    ['fifo', 'fifo', 0, ''],
    ['socket', 'socket', 0, ''],
    ['symlink', 'symlink', 0, '/etc'],
  ]);
  expect(find(entries, 'symlink')?.size).toBe(4);
});

test('names that are not UTF-8 keep their bytes', () => {
  fs.mkdirSync(Buffer.from(`${root}/d\xff`, 'latin1'));
  fs.symlinkSync(Buffer.from('t\xfe\n', 'latin1'), Buffer.from(`${root}/d\xff/l\n\xe9`, 'latin1'));
  expect(find(walk(root, ALL), 'd\xff/l\n\xe9')?.target).toBe('t\xfe\n');
});

test('excluded entries are left out with all below; ignored ones are marked with all below', () => {
  for (const directory of ['var/log/apt', 'var/lib', 'tmp/x'])
    fs.mkdirSync(path.join(root, directory), { recursive: true });
  const entries = walk(root, { exclude: excluderOf(['tmp/*']), ignore: excluderOf(['var/log']) });
  expect(entries.map((entry) => [entry.path, entry.ignored])).toEqual([
    ['', false],
    ['tmp', false],
    ['var', false],
    ['var/lib', false],
    ['var/log', true],
    ['var/log/apt', true],
  ]);
});

test('a directory whose contents are skipped is there itself', () => {
  for (const directory of ['proc/1', 'x/proc']) fs.mkdirSync(path.join(root, directory), { recursive: true });
  const entries = walk(root, { ...ALL, skipContents: new Set(['proc']) });
  expect(paths(entries)).toEqual(['', 'proc', 'x', 'x/proc']);
});

test.each([
  ['file', 'z', 'a', ['', 'a', 'b', 'b/c', 'b/sub']],
  ['directory', 'b', 'a', ['', 'a', 'z']],
  ['file in a directory', 'b/c', 'c', ['', 'a', 'b', 'b/sub', 'z']],
])('a %s that vanishes meanwhile is left out', (_, victim, moment, left) => {
  fs.mkdirSync(path.join(root, 'b/sub'), { recursive: true });
  for (const file of ['a', 'b/c', 'z']) fs.writeFileSync(path.join(root, file), '');
  // between readdir and lstat: the walk asks about each name of a listing before it looks at it
  const vanishing: Excluder = {
    descend: (name) => {
      if (name === moment) fs.rmSync(path.join(root, victim), { recursive: true });
      return { excluded: false, below: vanishing };
    },
  };
  expect(paths(walk(root, { ...ALL, exclude: vanishing }))).toEqual(left);
});

test('a root that is not there, or no directory, is said in words', () => {
  fs.writeFileSync(path.join(root, 'file'), '');
  expect(() => walk(path.join(root, 'none'), ALL)).toThrow(UserError);
  expect(() => walk(path.join(root, 'none'), ALL)).toThrow(/^cannot read .*none: it does not exist$/);
  expect(() => walk(path.join(root, 'file'), ALL)).toThrow(/it is not a directory$/);
});

test('paths longer than the kernel takes are walked, and no descriptor stays open', () => {
  const part = 'd'.repeat(200);
  const deep = Array(30).fill(part).join('/');
  // mkdir goes down step by step; no single call could
  execFileSync('mkdir', ['-p', deep], { cwd: root });
  fs.writeFileSync(path.join(root, 'sibling'), '');
  const before = fs.readdirSync('/proc/self/fd').length;
  const entries = walk(root, ALL);
  expect(entries.length).toBe(32);
  expect(entries.at(-2)?.path).toBe(deep);
  expect(entries.at(-1)?.path).toBe('sibling');
  expect(fs.readdirSync('/proc/self/fd').length).toBe(before);
});

test('five thousand levels are no problem', () => {
  execFileSync('mkdir', ['-p', Array(5000).fill('d').join('/')], { cwd: root });
  expect(walk(root, ALL).length).toBe(5001);
});

function paths(entries: readonly Entry[]): string[] {
  return entries.map((entry) => entry.path);
}

function find(entries: readonly Entry[], wanted: string): Entry | undefined {
  return entries.find((entry) => entry.path === wanted);
}
