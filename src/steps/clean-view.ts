import * as z from 'zod';
import { openCleanView } from '../build/clean-view.ts';
import { cleanViewUp } from '../build/cleanup/all-cleanup.ts';
import { cleanupOf, siteCleanupDirectory } from '../build/cleanup/wanted.ts';
import { submountsOf } from '../build/submounts.ts';
import { makeMountPoint } from '../store/mount-point.ts';
import { readingFromNow } from '../tree/look.ts';
import type { RebuildJob, Site } from './site.ts';
import { defineStep } from './step.ts';

/**
 * Makes a cleaned view of the chroot, where one is wanted: what is built and checked is the view. Its mounts belong to a
 * process of ours, so that there is nothing to undo after a crash; a running job closes it when it ends in any way.
 */
export const cleanView = defineStep<Site, RebuildJob, null>({
  name: 'clean-view',
  plan: z.null(),
  prepare: () => null,
  act: async (job) => {
    const { config, chroot, settings, signal } = job;
    if (cleanupOf(config, settings.build, chroot) === null) return;
    job.onProgress('cleaning up a view of the chroot', null);
    const mountPoint = makeMountPoint(config.paths);
    const readSince = readingFromNow();
    const submounts = submountsOf(chroot.path);
    const view = await openCleanView({ chroot: chroot.path, submounts, mountPoint, signal });
    job.view = { root: view.root, readSince, close: view.close };
    const siteDirectory = siteCleanupDirectory(config);
    const { timeout } = settings.check;
    const { done } = await cleanViewUp(view, { name: chroot.name, siteDirectory, timeout, signal });
    const message = `${chroot.name}: cleaned up: ${done.length === 0 ? 'there was nothing to do' : done.join(', ')}`;
    job.log.info('build.cleaned', { name: chroot.name, id: job.id, done }, message);
  },
  undo: () => undefined,
});

/** The view and what was changed in it go. */
export async function closeView(job: RebuildJob): Promise<void> {
  await job.view?.close();
  job.view = null;
}
