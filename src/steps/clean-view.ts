import fs from 'node:fs';
import path from 'node:path';
import { openCleanView } from '../build/clean-view.ts';
import { cleanViewUp } from '../build/cleanup/all-cleanup.ts';
import { siteCleanupDirectory } from '../build/cleanup/wanted.ts';
import type { Recipe } from '../build/inputs.ts';
import { submountsOf } from '../build/submounts.ts';
import type { RebuildJob } from './site.ts';

/** Runs `use` with the tree to read: the chroot itself, or a cleaned view of it that goes afterwards. */
export async function withSource<T>(
  job: RebuildJob,
  { cleanup }: Recipe,
  use: (source: string) => Promise<T>,
): Promise<T> {
  const { config, chroot, settings, signal } = job;
  if (cleanup === null) return use(chroot.path);
  job.onProgress('cleaning up a view of the chroot', null);
  const mountPoint = path.join(config.paths.state, 'mnt');
  fs.mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
  const view = await openCleanView({ chroot: chroot.path, submounts: submountsOf(chroot.path), mountPoint, signal });
  try {
    const siteDirectory = siteCleanupDirectory(config);
    const { timeout } = settings.check;
    const { done } = await cleanViewUp(view, { name: chroot.name, siteDirectory, timeout, signal });
    const message = `${chroot.name}: cleaned up: ${done.length === 0 ? 'there was nothing to do' : done.join(', ')}`;
    job.log.info('build.cleaned', { name: chroot.name, id: job.id, done }, message);
    return await use(view.root);
  } finally {
    await view.close();
  }
}
