import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { imageFile, oldFile, type StorePaths } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addImage, makeStore } from './store.ts';

const A = '20260101T000000Z';

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

it('a name is absent, a generation, or foreign', () => {
  expect(readLinks(paths, 'amd64')).toEqual({ current: { kind: 'absent' }, previous: { kind: 'absent' } });
  addImage(paths, 'amd64', A, 'a');
  switchTo(paths, 'amd64', { current: A, previous: null }, 0);
  // the same bytes, but another file
  fs.writeFileSync(oldFile(paths, 'amd64'), 'a');
  const { ino } = fs.statSync(oldFile(paths, 'amd64'), { bigint: true });
  expect(readLinks(paths, 'amd64')).toEqual({
    current: { kind: 'generation', id: A },
    previous: { kind: 'foreign', ino, size: 1 },
  });
});

it.each([
  ['a symbolic link', (file: string) => fs.symlinkSync('/dev/null', file)],
  ['a directory', (file: string) => fs.mkdirSync(file)],
  ['not a regular file', (file: string) => void execFileSync('mkfifo', [file])],
])('%s in place of an image is refused by name', (what, make) => {
  const file = imageFile(paths, 'amd64');
  make(file);
  expect(() => readLinks(paths, 'amd64')).toThrow(`cannot use ${file}: it is ${what}`);
});
