import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { type Check, runChecks } from '../checks/check.ts';
import { contentCheck } from '../checks/content.ts';
import { digestCheck } from '../checks/digest.ts';
import { RejectedError } from '../errors.ts';
import { candidateOf as candidateFile, manifestOf } from '../store/layout.ts';
import { setAside } from '../store/rejected.ts';
import { candidateOf, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

/** Proves the candidate before any client can get it. One that fails is kept aside for a look. */
export const checkCandidate = defineStep<Site, RebuildJob, null>({
  name: 'check-candidate',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    job.onProgress('checking the image', null);
    const candidate = candidateOf(job);
    const verdict = await runChecks(candidateChecks(job), job.settings.check.timeout, job.signal);
    candidate.checks = verdict.results;
    if (verdict.kind === 'passed') return;
    setAside(job.config.paths, candidate);
    throw new RejectedError(verdict.reason);
  },
  undo: () => undefined,
});

/** What a candidate has to pass, run beside each other. Deeper checks find their place here. */
function candidateChecks(job: RebuildJob): Check[] {
  const { paths } = job.config;
  const { id, name, digest } = candidateOf(job);
  const image = candidateFile(paths, name, id);
  const mountPoint = path.join(paths.state, 'mnt');
  fs.mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
  const manifestFile = manifestOf(paths, name, id);
  const { required } = job.settings.check;
  return [digestCheck(image, digest), contentCheck({ image, mountPoint, manifestFile, required, tree: job.tree })];
}
