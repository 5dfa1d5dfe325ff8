import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Journal, openJournals } from '../../src/jobs/journal.ts';
import { readManifest } from '../../src/serve/boot-files/manifest.ts';
import { readChrootState } from '../../src/store/chroot-state.ts';
import { readHistory } from '../../src/store/history.ts';
import { chrootStateFile, historyFile, journalDirectory, recordOf, type StorePaths } from '../../src/store/layout.ts';
import { generations, readRecord } from '../../src/store/records.ts';
import { readScheduleMemory } from '../../src/store/schedule-memory.ts';
import { addImage, makeStore } from '../store/store.ts';
import { damaged } from './damaged.ts';

/** What we wrote ourselves, on a disk that has rotted, or that somebody has edited. */
let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  'true',
  '{"state":"committed"}\n',
  '"step":',
  '\\u0000',
  '"__proto__":{}',
];
const ID = '20261128T100000Z';

it('a journal', () => {
  const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id: ID });
  journal.prepared('build', { name: 'amd64', id: ID });
  journal.done('build');
  journal.prepared('publish', { name: 'amd64', before: { current: null, previous: null }, boot: [] });
  journal.commit();
  journal.leave();
  const file = path.join(journalDirectory(paths), `${journal.header.job}.jsonl`);
  const sample = fs.readFileSync(file);
  fc.assert(
    fc.property(damaged([sample, sample.subarray(0, -40)], TOKENS), (bytes) => {
      fs.writeFileSync(file, bytes);
      for (const one of openJournals(paths)) {
        expect(one.header.job).toBe(journal.header.job);
        for (const { step } of one.begun) expect(typeof step).toBe('string');
      }
      // out of the way when it is none of ours, and never lost
      expect([file, `${file}.broken`].filter((one) => fs.existsSync(one))).toHaveLength(1);
      fs.rmSync(`${file}.broken`, { force: true });
    }),
    { numRuns: 200, endOnFailure: true },
  );
});

it('a record', () => {
  addImage(paths, 'amd64', ID, 'image');
  const file = recordOf(paths, 'amd64', ID);
  fc.assert(
    fc.property(damaged([fs.readFileSync(file)], TOKENS), (bytes) => {
      fs.writeFileSync(file, bytes);
      const found = generations(paths, 'amd64');
      expect(found.generations.length + found.problems.length).toBe(1);
      expect(readRecord(paths, 'amd64', ID)).toEqual(found.generations[0]);
      for (const problem of found.problems) expect(problem).toMatch(/^cannot use generation/);
    }),
    { numRuns: 200, endOnFailure: true },
  );
});

it('what is remembered of a chroot, and of the schedule', () => {
  const file = chrootStateFile(paths, 'amd64');
  fs.mkdirSync(path.dirname(file));
  const sample = JSON.stringify({ quarantine: [{ inputs: 'a', reason: 'b', at: 'c' }], hold: null, looked: null });
  fc.assert(
    fc.property(damaged([sample, '{"ran":{"amd64":1}}'], TOKENS), (bytes) => {
      fs.writeFileSync(file, bytes);
      expect(Array.isArray(readChrootState(paths, 'amd64').quarantine)).toBe(true);
      fs.writeFileSync(path.join(paths.state, 'schedule.json'), bytes);
      readScheduleMemory(paths);
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

it('history', () => {
  const file = historyFile(paths, 'amd64');
  fs.mkdirSync(path.dirname(file));
  const entry = { at: '2026-01-01T00:00:00Z', name: 'amd64', event: 'published', id: ID, reason: 'r', message: 'm' };
  const sample = `${JSON.stringify(entry)}\n${JSON.stringify({ ...entry, event: 'void' })}\n`;
  fc.assert(
    fc.property(damaged([sample], TOKENS), (bytes) => {
      fs.writeFileSync(file, bytes);
      for (const { event } of readHistory(paths)) expect(typeof event).toBe('string');
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

it('the list of what is ours in a TFTP directory', () => {
  const file = path.join(paths.state, '.ltsp-autoimage.json');
  const sample = JSON.stringify({ id: 'a', layout: 'ltsp5', paths: ['vmlinuz'], yielding: [], going: [] });
  fc.assert(
    fc.property(damaged([sample], TOKENS), (bytes) => {
      fs.writeFileSync(file, bytes);
      const manifest = readManifest(paths.state);
      if (manifest !== null) expect(Array.isArray(manifest.paths)).toBe(true);
    }),
    { numRuns: 150, endOnFailure: true },
  );
});
