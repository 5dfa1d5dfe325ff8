import fs from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { type RevertJob, switchBack } from '../../src/steps/switch-back.ts';
import { readChrootState, updateChrootState } from '../../src/store/chroot-state.ts';
import { imageFile, oldFile, type StorePaths } from '../../src/store/layout.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addImage } from '../store/store.ts';
import { makeSite, type TestSite } from './site.ts';

const [FIRST, SECOND] = ['20260101T000000Z', '20260102T000000Z'] as const;

let made: TestSite;
let paths: StorePaths;
let job: RevertJob;
beforeEach(() => {
  made = makeSite();
  paths = made.site.config.paths;
  addImage(paths, 'amd64', FIRST, 'first');
  addImage(paths, 'amd64', SECOND, 'second');
  switchTo(paths, 'amd64', { current: SECOND, previous: FIRST }, Date.now());
  const rejected = { inputs: `inputs of ${FIRST}`, reason: 'it was bad once', at: '2026-01-01T00:00:00Z' };
  updateChrootState(paths, 'amd64', (state) => ({ ...state, quarantine: [rejected] }));
  job = { ...made.site, name: 'amd64', because: 'asked', to: null, signal: new AbortController().signal, notes: [] };
});

function images(): string[] {
  return [imageFile(paths, 'amd64'), oldFile(paths, 'amd64')].map((file) => fs.readFileSync(file, 'utf8'));
}

describe('switch-back', () => {
  it('swaps both images, holds, and trades the places of their inputs in quarantine', async () => {
    await switchBack.act(job, await switchBack.prepare(job));
    expect(images()).toEqual(['first', 'second']);
    const { hold, quarantine } = readChrootState(paths, 'amd64');
    expect(hold).not.toBeNull();
    expect(quarantine.map(({ inputs }) => inputs)).toEqual([`inputs of ${SECOND}`]);
  });

  it('is undone with all that it remembered, whether it was done or only prepared, and twice too', async () => {
    const before = readChrootState(paths, 'amd64');
    const plan = await switchBack.prepare(job);
    await switchBack.undo(made.site, plan);
    expect(images()).toEqual(['second', 'first']);
    await switchBack.act(job, plan);
    for (const _ of [1, 2]) {
      await switchBack.undo(made.site, JSON.parse(JSON.stringify(plan)));
      expect(images()).toEqual(['second', 'first']);
      expect(readChrootState(paths, 'amd64')).toEqual(before);
    }
  });

  it('moves .old up where there is no current image', async () => {
    switchTo(paths, 'amd64', { current: null, previous: FIRST }, Date.now());
    await switchBack.act(job, await switchBack.prepare(job));
    expect(fs.readFileSync(imageFile(paths, 'amd64'), 'utf8')).toBe('first');
    expect(fs.existsSync(oldFile(paths, 'amd64'))).toBe(false);
  });

  it('goes to an image of another program, of whose inputs nothing is known', async () => {
    const old = oldFile(paths, 'amd64');
    fs.rmSync(old);
    fs.writeFileSync(old, 'foreign');
    await switchBack.act(job, await switchBack.prepare(job));
    expect(images()).toEqual(['foreign', 'second']);
    const { quarantine } = readChrootState(paths, 'amd64');
    expect(quarantine.map(({ inputs }) => inputs)).toEqual([`inputs of ${FIRST}`, `inputs of ${SECOND}`]);
  });
});
