import * as z from 'zod';
import { runChecks } from '../checks/check.ts';
import { digestCheck } from '../checks/digest.ts';
import { RejectedError } from '../errors.ts';
import { imageFile } from '../store/layout.ts';
import { setAside } from '../store/rejected.ts';
import { candidateOf, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

/** Proves that what clients get from now on is the image that was checked. */
export const checkLive = defineStep<Site, RebuildJob, null>({
  name: 'check-live',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    job.onProgress('checking the published image', null);
    const candidate = candidateOf(job);
    const live = digestCheck(imageFile(job.config.paths, candidate.name), candidate.digest);
    const verdict = await runChecks([{ ...live, name: 'live' }], job.settings.check.timeout, job.signal);
    candidate.checks = [...candidate.checks, ...verdict.results];
    if (verdict.kind === 'passed') return;
    setAside(job.config.paths, candidate);
    throw new RejectedError(verdict.reason);
  },
  undo: () => undefined,
});
