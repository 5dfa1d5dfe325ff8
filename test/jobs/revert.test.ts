import fs from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { type RevertResult, revert } from '../../src/jobs/revert.ts';
import { readChrootState, updateChrootState } from '../../src/store/chroot-state.ts';
import { readHistory } from '../../src/store/history.ts';
import { imageFile, imageOf, journalDirectory, oldFile, type StorePaths } from '../../src/store/layout.ts';
import { switchTo } from '../../src/store/switch.ts';
import { makeSite, type TestSite } from '../steps/site.ts';
import { addImage } from '../store/store.ts';

const [FIRST, SECOND, THIRD] = ['20260101T000000Z', '20260102T000000Z', '20260103T000000Z'] as const;

let made: TestSite;
let paths: StorePaths;
beforeEach(() => {
  made = makeSite();
  paths = made.site.config.paths;
  for (const id of [FIRST, SECOND, THIRD]) addImage(paths, 'amd64', id, `image ${id}`);
  switchTo(paths, 'amd64', { current: THIRD, previous: SECOND }, Date.now());
});

function back(to: string | null = null, signal = new AbortController().signal): Promise<RevertResult> {
  return revert(made.site, { name: 'amd64', because: 'asked', to, signal });
}

function images(): string[] {
  return [imageFile(paths, 'amd64'), oldFile(paths, 'amd64')].map((file) => fs.readFileSync(file, 'utf8'));
}

describe('a revert', () => {
  it('makes .old the image, the one it leaves .old, and holds; history tells', async () => {
    const message = `amd64: image ${SECOND} is live again; on hold until ltsp-autoimage release amd64 or build amd64`;
    expect(await back()).toEqual({ kind: 'reverted', id: SECOND, message, notes: [] });
    expect(images()).toEqual([`image ${SECOND}`, `image ${THIRD}`]);
    const state = readChrootState(paths, 'amd64');
    expect(state.hold).toMatchObject({ reason: 'reverted by hand' });
    expect(state.quarantine).toMatchObject([{ inputs: `inputs of ${THIRD}`, reason: `${THIRD} was reverted by hand` }]);
    expect(readHistory(paths, 'amd64')).toMatchObject([{ event: 'reverted', id: SECOND, message }]);
    expect(fs.readdirSync(journalDirectory(paths))).toEqual([]);
  });

  it('goes to the generation that is named', async () => {
    expect(await back(FIRST)).toMatchObject({ kind: 'reverted', id: FIRST });
    expect(images()).toEqual([`image ${FIRST}`, `image ${THIRD}`]);
  });

  it('a second one brings back the start, with the other inputs in quarantine', async () => {
    await back();
    await back();
    expect(images()).toEqual([`image ${THIRD}`, `image ${SECOND}`]);
    expect(readChrootState(paths, 'amd64').quarantine.map(({ inputs }) => inputs)).toEqual([`inputs of ${SECOND}`]);
  });
});

describe('a revert that cannot be made changes nothing and says why', () => {
  const known = `${FIRST}, ${SECOND}, ${THIRD}`;
  it.each([
    [THIRD, `cannot revert amd64 to ${THIRD}: it is the current image`],
    ['20250101T000000Z', `cannot revert amd64 to 20250101T000000Z: no such generation (there are ${known})`],
    ['yesterday', `cannot revert amd64 to yesterday: no such generation (there are ${known})`],
  ])('to %s', async (to, message) => {
    updateChrootState(paths, 'amd64', (state) => ({ ...state, looked: { inputs: 'x', at: 'then' } }));
    const before = readChrootState(paths, 'amd64');
    expect(await back(to)).toEqual({ kind: 'failed', message });
    expect(images()).toEqual([`image ${THIRD}`, `image ${SECOND}`]);
    expect(readChrootState(paths, 'amd64')).toEqual(before);
    expect(fs.readdirSync(journalDirectory(paths))).toEqual([]);
  });

  it('without .old', async () => {
    switchTo(paths, 'amd64', { current: THIRD, previous: null }, Date.now());
    const message = 'cannot revert amd64: there is no previous image (amd64.img.old)';
    expect(await back()).toEqual({ kind: 'failed', message });
  });

  it('to a damaged image', async () => {
    fs.writeFileSync(imageOf(paths, 'amd64', SECOND), 'image of nothing');
    const message = `cannot revert amd64 to ${SECOND}: its image is damaged (its bytes are not those that were checked)`;
    expect(await back()).toEqual({ kind: 'rejected', message });
    expect(fs.readFileSync(imageFile(paths, 'amd64'), 'utf8')).toBe(`image ${THIRD}`);
    expect(readChrootState(paths, 'amd64')).toMatchObject({ hold: null, quarantine: [] });
  });

  it('when it is stopped before', async () => {
    expect((await back(null, AbortSignal.abort())).kind).toBe('cancelled');
    expect(images()).toEqual([`image ${THIRD}`, `image ${SECOND}`]);
  });
});
