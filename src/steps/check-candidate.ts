import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { runChecks } from '../checks/check.ts';
import { mountOnce } from '../checks/mount-once.ts';
import { RejectedError } from '../errors.ts';
import { candidateOf as candidateFile } from '../store/layout.ts';
import { setAside } from '../store/rejected.ts';
import { candidateChecks } from './candidate-checks.ts';
import { candidateOf, note, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

/** Proves the candidate before any client can get it. One that fails is kept aside for a look. */
export const checkCandidate = defineStep<Site, RebuildJob, null>({
  name: 'check-candidate',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    job.onProgress('checking the image', null);
    const { paths } = job.config;
    const candidate = candidateOf(job);
    const { id, name } = candidate;
    const mountPoint = path.join(paths.state, 'mnt');
    fs.mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
    const image = mountOnce(candidateFile(paths, name, id), mountPoint, job.signal);
    try {
      const verdict = await runChecks(candidateChecks(job, image), job.settings.check.timeout, job.signal);
      candidate.checks = verdict.results;
      for (const { warnings } of verdict.results) {
        for (const warning of warnings) note(job, 'check.warned', name, warning);
      }
      if (verdict.kind === 'passed') return;
      setAside(paths, candidate);
      throw new RejectedError(verdict.reason);
    } finally {
      await image.close();
    }
  },
  undo: () => undefined,
});
