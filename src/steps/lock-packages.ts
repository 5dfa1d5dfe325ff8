import * as z from 'zod';
import { PackageLock } from '../chroot/package-lock.ts';
import type { RebuildJob, Site } from './site.ts';
import { defineStep } from './step.ts';

/**
 * Holds the chroot's dpkg and apt off until the tree has been read. The kernel drops the lock with the process, so that
 * there is nothing to undo after a crash; a running job releases it when it ends in any way.
 */
export const lockPackages = defineStep<Site, RebuildJob, null>({
  name: 'lock-packages',
  plan: z.null(),
  prepare: () => null,
  act: (job) => {
    if (job.settings.build.lock) job.packageLock = PackageLock.take(job.chroot);
  },
  undo: () => undefined,
});

/** Lets dpkg and apt go on. */
export function releasePackages(job: RebuildJob): void {
  job.packageLock?.release();
  job.packageLock = null;
}
