import fs from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { publish } from '../../src/steps/publish.ts';
import type { RebuildJob } from '../../src/steps/site.ts';
import { imageFile, oldFile, type StorePaths } from '../../src/store/layout.ts';
import { generations } from '../../src/store/records.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addCandidate, addImage, recordFor } from '../store/store.ts';
import { makeJob, makeSite, type TestSite } from './site.ts';

const [FIRST, SECOND, NEXT] = ['20260101T000000Z', '20260102T000000Z', '20260103T000000Z'] as const;

let made: TestSite;
let paths: StorePaths;
let chroot: Chroot;
beforeEach(async () => {
  made = makeSite();
  paths = made.site.config.paths;
  chroot = await made.makeChroot('amd64');
});

/** A job whose candidate NEXT has been built. */
function job(more: Partial<RebuildJob> = {}): RebuildJob {
  addCandidate(paths, 'amd64', NEXT, 'next');
  return makeJob(made.site, chroot, { id: NEXT, candidate: { ...recordFor('amd64', NEXT), inputs: 'x' }, ...more });
}

function withTwo(): void {
  addImage(paths, 'amd64', FIRST, 'first');
  addImage(paths, 'amd64', SECOND, 'second');
  switchTo(paths, 'amd64', { current: SECOND, previous: FIRST }, Date.now());
}

/** What NAME.img and NAME.img.old hold. */
function images(): (string | null)[] {
  const contentOf = (file: string): string | null => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null);
  return [contentOf(imageFile(paths, 'amd64')), contentOf(oldFile(paths, 'amd64'))];
}

describe('publish', () => {
  it('makes the first candidate the image; its undo leaves none', async () => {
    const one = job();
    const plan = await publish.prepare(one);
    expect(images()).toEqual([null, null]);
    await publish.act(one, plan);
    expect(images()).toEqual(['next', null]);
    await publish.undo(made.site, plan);
    expect(images()).toEqual([null, null]);
  });

  it('makes the current image .old; its undo restores the .old that was displaced, and may run twice', async () => {
    withTwo();
    const one = job();
    const plan = await publish.prepare(one);
    await publish.act(one, plan);
    expect(images()).toEqual(['next', 'second']);
    for (const _ of [1, 2]) {
      await publish.undo(made.site, plan);
      expect(images()).toEqual(['second', 'first']);
    }
  });

  it('has nothing to undo when it was only prepared', async () => {
    withTwo();
    const plan = await publish.prepare(job());
    await publish.undo(made.site, plan);
    expect(images()).toEqual(['second', 'first']);
  });

  it('undone after a crash works with the plan as it was written down', async () => {
    withTwo();
    const one = job();
    const plan = await publish.prepare(one);
    await publish.act(one, plan);
    await publish.undo(made.site, JSON.parse(JSON.stringify(plan)));
    expect(images()).toEqual(['second', 'first']);
    await expect(publish.undo(made.site, { name: 'amd64', before: 'nonsense' })).rejects.toThrow();
  });

  it('of a twin replaces the current image and leaves .old alone', async () => {
    withTwo();
    const one = job({ twin: 'twin' });
    await publish.act(one, await publish.prepare(one));
    expect(images()).toEqual(['next', 'first']);
  });

  it('takes images of another program up as generations, so that none is lost', async () => {
    const file = imageFile(paths, 'amd64');
    fs.mkdirSync(paths.images, { recursive: true });
    fs.writeFileSync(file, 'foreign');
    fs.writeFileSync(oldFile(paths, 'amd64'), 'foreign and old');
    const one = job();
    await publish.act(one, await publish.prepare(one));
    expect(images()).toEqual(['next', 'foreign']);
    const known = generations(paths, 'amd64').generations;
    expect(known.map(({ builder }) => builder).sort()).toEqual(['foreign', 'foreign', 'mksquashfs']);
    expect(made.told.count('image.adopted')).toBe(2);
  });
});
