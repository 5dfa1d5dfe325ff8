import fs from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { RejectedError } from '../../src/errors.ts';
import { checkLive } from '../../src/steps/check-live.ts';
import type { RebuildJob } from '../../src/steps/site.ts';
import { imageFile } from '../../src/store/layout.ts';
import { rejected } from '../../src/store/rejected.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addImage } from '../store/store.ts';
import { makeJob, makeSite, type TestSite } from './site.ts';

const ID = '20260101T000000Z';

let made: TestSite;
let job: RebuildJob;
beforeEach(async () => {
  made = makeSite();
  const { paths } = made.site.config;
  const record = addImage(paths, 'amd64', ID, 'the image');
  switchTo(paths, 'amd64', { current: ID, previous: null }, Date.now());
  job = makeJob(made.site, await made.makeChroot('amd64'), { id: ID, candidate: { ...record, inputs: 'x' } });
});

describe('check-live', () => {
  it('passes when what clients get is what was checked', async () => {
    await checkLive.act(job, await checkLive.prepare(job));
    expect(job.candidate?.checks).toMatchObject([{ name: 'live', passed: true }]);
  });

  it('rejects when it is not, and keeps the image aside', async () => {
    const { paths } = made.site.config;
    fs.writeFileSync(imageFile(paths, 'amd64'), 'the imagE');
    await expect(checkLive.act(job, null)).rejects.toThrow(RejectedError);
    expect(rejected(paths, 'amd64')?.record.checks).toMatchObject([{ name: 'live', passed: false }]);
  });

  it('rejects when another program has put its own image there meanwhile', async () => {
    const file = imageFile(made.site.config.paths, 'amd64');
    fs.rmSync(file);
    fs.writeFileSync(file, 'another');
    await expect(checkLive.act(job, null)).rejects.toThrow('has not the bytes that were written');
  });
});
