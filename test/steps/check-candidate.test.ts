import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { CancelledError, RejectedError } from '../../src/errors.ts';
import { build } from '../../src/steps/build.ts';
import { checkCandidate } from '../../src/steps/check-candidate.ts';
import type { RebuildJob } from '../../src/steps/site.ts';
import { candidateOf as candidateFile, imageFile } from '../../src/store/layout.ts';
import { rejected } from '../../src/store/rejected.ts';
import { makeJob, makeSite, pastNow, type TestSite } from './site.ts';

let made: TestSite;
let chroot: Chroot;
beforeEach(async () => {
  made = makeSite();
  chroot = await made.makeChroot('amd64');
});

async function built(): Promise<RebuildJob> {
  const job = makeJob(made.site, chroot);
  await build.act(job, await build.prepare(job));
  return job;
}

async function check(job: RebuildJob): Promise<void> {
  await checkCandidate.act(job, await checkCandidate.prepare(job));
}

describe('check-candidate', () => {
  it('passes a good candidate and notes what it saw; no client has it', async () => {
    const job = await built();
    await check(job);
    expect(job.candidate?.checks).toMatchObject([
      { name: 'digest', passed: true },
      { name: 'required', passed: true },
      { name: 'content', passed: true, message: 'it mounts and has what the chroot had' },
      { name: 'contents', passed: true },
      { name: 'secrets', passed: true },
      { name: 'boot chain', passed: true },
    ]);
    const { paths } = made.site.config;
    expect(rejected(paths, 'amd64')).toBeNull();
    expect(fs.existsSync(imageFile(paths, 'amd64'))).toBe(false);
  });

  it('rejects one without a required file and keeps it aside with its verdict', async () => {
    fs.rmSync(path.join(chroot.path, 'bin/sh'));
    await pastNow();
    const job = await built();
    await expect(check(job)).rejects.toThrow(new RejectedError('bin/sh is missing'));
    const kept = rejected(made.site.config.paths, 'amd64');
    expect(kept?.record).toMatchObject({ id: job.id, digest: job.candidate?.digest });
    expect(kept?.record.checks).toContainEqual(expect.objectContaining({ name: 'required', passed: false }));
  });

  it('rejects one of which a byte is not what was written', async () => {
    const job = await built();
    const file = candidateFile(made.site.config.paths, 'amd64', job.id);
    const bytes = fs.readFileSync(file);
    // behind the last table: no reader of the image looks there
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    fs.writeFileSync(file, bytes);
    await expect(check(job)).rejects.toThrow(/^.* has not the bytes that were written/);
  });

  it('says that it was stopped, which is no verdict', async () => {
    const stop = new AbortController();
    const job = { ...(await built()), signal: stop.signal };
    stop.abort();
    await expect(check(job)).rejects.toThrow(CancelledError);
    expect(rejected(made.site.config.paths, 'amd64')).toBeNull();
  });
});
