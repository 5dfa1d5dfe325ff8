import path from 'node:path';
import { messageOf, UserError } from '../errors.ts';
import { printable } from '../report/printable.ts';
import { runSiteProgram } from '../system/site-program.ts';
import { sitePrograms } from '../system/site-programs.ts';
import { note, type RebuildJob } from './site.ts';

type Hook = 'pre-build.d' | 'post-publish.d';

/**
 * Runs the site's programs in /etc/ltsp/autoimage.d/pre-build.d, in the order of their names, before anything of the
 * chroot is locked or read: what they change in it gets into the image.
 * @throws UserError when one of them refuses, with its last lines; CancelledError
 */
export async function runPreBuild(job: RebuildJob): Promise<void> {
  for await (const { program, why } of failuresOf(job, 'pre-build.d')) {
    throw new UserError(`cannot build ${job.chroot.name}: the site's ${program} ${why}`);
  }
}

/** Runs the site's programs in post-publish.d. The image is live: one that fails is told of, and takes nothing back. */
export async function runPostPublish(job: RebuildJob): Promise<void> {
  const { name } = job.chroot;
  try {
    for await (const { program, why } of failuresOf(job, 'post-publish.d')) {
      note(job, 'hook.failed', name, `the site's ${program} ${why}; the image is live all the same`);
    }
  } catch (error) {
    note(job, 'hook.failed', name, `not all programs in post-publish.d were run: ${messageOf(error)}`);
  }
}

/** Runs one after the other, and yields those that failed; each has the limit of a check. */
async function* failuresOf(job: RebuildJob, hook: Hook): AsyncGenerator<{ program: string; why: string }> {
  const { config, chroot, settings, signal } = job;
  const parent = path.join(config.root, '/etc/ltsp/autoimage.d');
  const { names, skipped } = sitePrograms(path.join(parent, hook));
  for (const { name, why } of skipped) {
    note(job, 'hook.failed', chroot.name, `cannot run the site's ${hook}/${printable(name)}: ${why}`);
  }
  for (const name of names) {
    const program = `${hook}/${name}`;
    job.onProgress(`running ${program}`, null);
    const end = await runSiteProgram(parent, program, {
      env: environment(job, hook),
      timeout: settings.check.timeout,
      signal,
    });
    if (end.kind === 'failed') yield { program, why: printable(end.why) };
  }
}

/** Beside what the site's checks get: the chroot's directory and why there is an image of it. */
function environment({ config, chroot, id, reason }: RebuildJob, hook: Hook): Record<string, string> {
  return {
    LTSP_AUTOIMAGE_HOOK: hook.slice(0, -'.d'.length),
    LTSP_AUTOIMAGE_NAME: chroot.name,
    LTSP_AUTOIMAGE_CHROOT: chroot.path,
    LTSP_AUTOIMAGE_IMAGE: path.join(config.paths.images, `${chroot.name}.img`),
    LTSP_AUTOIMAGE_ID: id,
    LTSP_AUTOIMAGE_REASON: reason,
  };
}
