import * as z from 'zod';
import { runChecks } from '../checks/check.ts';
import { liveCheck } from '../checks/live.ts';
import { RejectedError } from '../errors.ts';
import { liveExportOf, lookAtLive } from '../serve/live-export.ts';
import { imageFile } from '../store/layout.ts';
import { setAside } from '../store/rejected.ts';
import { candidateOf, note, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

/** Milliseconds that nbd-server may take to answer. */
const ANSWER = 5000;

/** Looks at what clients get before anything changes for them: later that tells what is our doing. */
export const probeLive = defineStep<Site, RebuildJob, null>({
  name: 'probe-live',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    if (job.settings.check.live === 'off') return;
    const image = imageFile(job.config.paths, job.chroot.name);
    job.liveBefore = await lookAtLive(job.config, image, { timeout: ANSWER, signal: job.signal });
  },
  undo: () => undefined,
});

/** Proves that what clients get from now on is the image that was checked. */
export const checkLive = defineStep<Site, RebuildJob, null>({
  name: 'check-live',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    const { live: strictness, timeout } = job.settings.check;
    if (strictness === 'off') return;
    job.onProgress('checking the published image', null);
    const candidate = candidateOf(job);
    const file = imageFile(job.config.paths, candidate.name);
    const image = { file, digest: candidate.digest, size: candidate.size };
    const live = liveExportOf(job.config, file);
    const check = liveCheck({ image, live, before: job.liveBefore, strictness });
    const verdict = await runChecks([check], timeout, job.signal);
    candidate.checks = [...candidate.checks, ...verdict.results];
    for (const { warnings } of verdict.results) {
      for (const warning of warnings) note(job, 'check.warned', candidate.name, warning);
    }
    if (verdict.kind === 'passed') return;
    setAside(job.config.paths, candidate);
    throw new RejectedError(verdict.reason);
  },
  undo: () => undefined,
});
