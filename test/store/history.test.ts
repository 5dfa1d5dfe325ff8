import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { appendHistory, type HistoryEntry, readHistory } from '../../src/store/history.ts';
import { historyFile, type StorePaths } from '../../src/store/layout.ts';
import { makeStore } from './store.ts';

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

function entry(name: string, second: number, message = `entry ${second}`): HistoryEntry {
  const at = new Date(Date.parse('2026-01-01T00:00:00Z') + second * 1000).toISOString();
  return { at, name, event: 'published', id: '20260101T000000Z', reason: 'a test', message };
}

it('there is none of a chroot never built', () => {
  expect(readHistory(paths, 'amd64')).toEqual([]);
  expect(readHistory(paths)).toEqual([]);
});

it('entries come back as they were, newest last, of one chroot or of all in the order of their time', () => {
  const whole: HistoryEntry = {
    ...entry('amd64', 1, 'ümlaut\nand line'),
    digest: 'd',
    size: 3,
    took: { build: 4 },
    packages: { added: { a: '1' }, removed: { b: '2' }, upgraded: { c: { from: '1', to: '2' } } },
  };
  appendHistory(paths, whole);
  appendHistory(paths, entry('i386', 2));
  appendHistory(paths, entry('amd64', 3));
  expect(readHistory(paths, 'amd64')).toEqual([whole, entry('amd64', 3)]);
  expect(readHistory(paths)).toEqual([whole, entry('i386', 2), entry('amd64', 3)]);
  expect(readHistory(paths, undefined, 2)).toEqual([entry('i386', 2), entry('amd64', 3)]);
});

it('the last ones of a long history are found from its end', () => {
  const file = historyFile(paths, 'amd64');
  fs.mkdirSync(path.dirname(file));
  // pieces that are read end within lines, and within characters
  const all = Array.from({ length: 3000 }, (_, second) => entry('amd64', second, 'ü'.repeat(second % 97)));
  fs.writeFileSync(file, all.map((one) => `${JSON.stringify(one)}\n`).join(''));
  expect(readHistory(paths, 'amd64', 2500)).toEqual(all.slice(-2500));
  expect(readHistory(paths, 'amd64', 5000)).toEqual(all);
});

it('an entry larger than the pieces that are read is whole', () => {
  const large = entry('amd64', 2, 'x'.repeat(300_000));
  const all = [entry('amd64', 1), large, entry('amd64', 3)];
  for (const one of all) appendHistory(paths, one);
  expect(readHistory(paths, 'amd64')).toEqual(all);
});

it('half an entry that a crash left is ignored, and neither the one before nor the one after is lost', () => {
  appendHistory(paths, entry('amd64', 1));
  fs.appendFileSync(historyFile(paths, 'amd64'), JSON.stringify(entry('amd64', 2)).slice(0, 40));
  expect(readHistory(paths, 'amd64')).toEqual([entry('amd64', 1)]);
  appendHistory(paths, entry('amd64', 3));
  expect(readHistory(paths, 'amd64')).toEqual([entry('amd64', 1), entry('amd64', 3)]);
});

it('lines that are no entries are left out', () => {
  appendHistory(paths, entry('amd64', 1));
  fs.appendFileSync(historyFile(paths, 'amd64'), '{"at": 5}\n\n[]\nnonsense\n');
  appendHistory(paths, entry('amd64', 2));
  expect(readHistory(paths, 'amd64')).toEqual([entry('amd64', 1), entry('amd64', 2)]);
});
