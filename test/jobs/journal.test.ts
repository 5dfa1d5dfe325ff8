import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Journal, openJournals } from '../../src/jobs/journal.ts';
import { journalDirectory, type StorePaths } from '../../src/store/layout.ts';
import { makeStore } from '../store/store.ts';

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

const REBUILD = { kind: 'rebuild', name: 'amd64', id: '20260101T000000Z' };
const files = (): string[] => fs.readdirSync(journalDirectory(paths));
const jobs = (): string[] => openJournals(paths).map(({ header }) => header.job);

it('tells what a job was about and which steps may have had an effect, until it ends', () => {
  expect(openJournals(paths)).toEqual([]);
  const journal = Journal.open(paths, REBUILD);
  journal.prepared('build', { id: 'x', list: [1, null] });
  journal.done('build');
  journal.prepared('publish', null);
  expect(openJournals(paths)).toMatchObject([
    {
      header: { ...REBUILD, pid: process.pid },
      begun: [
        { step: 'build', plan: { id: 'x', list: [1, null] } },
        { step: 'publish', plan: null },
      ],
      state: 'uncommitted',
    },
  ]);
  journal.commit();
  expect(openJournals(paths)).toMatchObject([{ state: 'committed' }]);
  journal.close();
  expect(files()).toEqual([]);
});

it('ignores half a line at its end, as a crash leaves it', () => {
  const journal = Journal.open(paths, REBUILD);
  journal.prepared('build', null);
  journal.leave();
  const file = path.join(journalDirectory(paths), files()[0] ?? '');
  fs.appendFileSync(file, '{"state":"committed"');
  expect(openJournals(paths)).toMatchObject([{ begun: [{ step: 'build', plan: null }], state: 'uncommitted' }]);
});

it('sets a file that is no journal aside', () => {
  Journal.open(paths, REBUILD).leave();
  fs.writeFileSync(path.join(journalDirectory(paths), '00000007-0123abcd.jsonl'), 'nonsense\n');
  expect(openJournals(paths)).toMatchObject([{ header: REBUILD }]);
  expect(files()).toContain('00000007-0123abcd.jsonl.broken');
});

it('the newest come first, and a job that was committed ends earlier ones of the same chroot', () => {
  const first = Journal.open(paths, REBUILD);
  const other = Journal.open(paths, { ...REBUILD, name: 'i386' });
  const second = Journal.open(paths, REBUILD);
  first.leave();
  expect(jobs()).toEqual([second, other, first].map(({ header }) => header.job));
  second.commit();
  second.close();
  expect(jobs()).toEqual([other.header.job]);
  other.close();
});

it('one that was not committed leaves earlier ones to be undone', () => {
  const first = Journal.open(paths, REBUILD);
  first.leave();
  Journal.open(paths, REBUILD).close();
  expect(jobs()).toEqual([first.header.job]);
});
