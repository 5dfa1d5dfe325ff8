import * as z from 'zod';
import { runChecks } from '../checks/check.ts';
import { type ImageSubject, imageChecks } from '../checks/image-checks.ts';
import { mountOnce } from '../checks/mount-once.ts';
import { RejectedError } from '../errors.ts';
import { candidateOf as candidateFile, imageFile, manifestOf } from '../store/layout.ts';
import { makeMountPoint } from '../store/mount-point.ts';
import { setAside } from '../store/rejected.ts';
import { candidateOf, note, type RebuildJob, type Site, sourceOf } from './site.ts';
import { defineStep } from './step.ts';

/** Proves the candidate before any client can get it. One that fails is kept aside for a look. */
export const checkCandidate = defineStep<Site, RebuildJob, null>({
  name: 'check-candidate',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    job.onProgress('checking the image', null);
    const { config, settings, signal } = job;
    const candidate = candidateOf(job);
    const subject = subjectOf(job);
    const image = mountOnce(subject.file, subject.mountPoint, settings.check.timeout, signal);
    try {
      const checks = imageChecks(subject, { ...job, settings: settings.check, image });
      const verdict = await runChecks(checks, settings.check.timeout, signal);
      candidate.checks = verdict.results;
      for (const { warnings } of verdict.results) {
        for (const warning of warnings) note(job, 'check.warned', candidate.name, warning);
      }
      if (verdict.kind === 'passed') return;
      setAside(config.paths, candidate);
      throw new RejectedError(verdict.reason);
    } finally {
      await image.close();
    }
  },
  undo: () => undefined,
});

function subjectOf(job: RebuildJob): ImageSubject {
  const { paths } = job.config;
  const { id, name, digest, size } = candidateOf(job);
  return {
    name,
    file: candidateFile(paths, name, id),
    servedAs: imageFile(paths, name),
    recorded: { digest, size },
    made: { manifestFile: manifestOf(paths, name, id), source: sourceOf(job), written: job.written },
    mountPoint: makeMountPoint(paths),
  };
}
