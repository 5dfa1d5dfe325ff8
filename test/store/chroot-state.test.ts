import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readChrootState, updateChrootState } from '../../src/store/chroot-state.ts';
import { chrootStateFile, type StorePaths } from '../../src/store/layout.ts';
import { makeStore } from './store.ts';

const NOTHING = { quarantine: [], hold: null, looked: null };

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

it('nothing is remembered of a chroot never seen, and what is remembered is there the next time', () => {
  expect(readChrootState(paths, 'amd64')).toEqual(NOTHING);
  const hold = { since: '2026-01-01T00:00:00Z', reason: 'reverted by hand' };
  const looked = { inputs: 'i', at: '2026-01-01T00:00:00Z' };
  updateChrootState(paths, 'amd64', (state) => ({ ...state, hold }));
  updateChrootState(paths, 'amd64', (state) => ({ ...state, looked }));
  expect(readChrootState(paths, 'amd64')).toEqual({ quarantine: [], hold, looked });
  expect(readChrootState(paths, 'i386')).toEqual(NOTHING);
  expect(fs.statSync(chrootStateFile(paths, 'amd64')).mode & 0o777).toBe(0o600);
});

it.each(['', '{"quarantine": [', '{}', '[]', '{"quarantine":[{"inputs":1}],"hold":null,"looked":null}'])(
  'a file that holds %j is set aside and told of, and the chroot goes on',
  (text) => {
    const file = chrootStateFile(paths, 'amd64');
    fs.mkdirSync(path.dirname(file));
    fs.writeFileSync(file, text);
    const problems: string[] = [];
    expect(readChrootState(paths, 'amd64', (problem) => problems.push(problem))).toEqual(NOTHING);
    expect(problems).toEqual([expect.stringContaining(`${file} is damaged; it is kept as ${file}.broken`)]);
    expect(fs.readFileSync(`${file}.broken`, 'utf8')).toBe(text);
    expect(readChrootState(paths, 'amd64', (problem) => problems.push(problem))).toEqual(NOTHING);
    expect(problems).toHaveLength(1);
  },
);

it('the newest fifty inputs stay in quarantine, each once', () => {
  for (let number = 0; number < 60; number += 1) {
    const entry = { inputs: `inputs ${number}`, reason: 'bad', at: '2026-01-01T00:00:00Z' };
    updateChrootState(paths, 'amd64', (state) => ({ ...state, quarantine: [...state.quarantine, entry] }));
  }
  const again = { inputs: 'inputs 20', reason: 'still bad', at: '2026-01-02T00:00:00Z' };
  updateChrootState(paths, 'amd64', (state) => ({ ...state, quarantine: [...state.quarantine, again] }));
  const { quarantine } = readChrootState(paths, 'amd64');
  expect(quarantine).toHaveLength(50);
  expect(quarantine.filter(({ inputs }) => inputs === 'inputs 20')).toEqual([again]);
  expect(quarantine[0]?.inputs).toBe('inputs 10');
  expect(quarantine.at(-1)).toEqual(again);
});
