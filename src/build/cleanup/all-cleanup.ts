import type { CleanView } from '../clean-view.ts';
import { type CleanupReport, cleanUp } from './clean-up.ts';
import { type Limits, runChrootsCleanup, runChrootsScripts, runSitesCleanup } from './own-scripts.ts';

export type CleanupOptions = Limits & {
  /** The chroot's name, for the server's own programs. */
  name: string;
  /** The server's own programs: /etc/ltsp/autoimage.d/cleanup.d. */
  siteDirectory: string;
};

/**
 * Cleans a view up: by the chroot's own LTSP 5 cleanup where it has one that runs here, else by ours and the scripts of
 * its etc/ltsp/cleanup.d; then by the server's own programs.
 * @throws UserError when one of them fails or takes too long; CancelledError
 */
export async function cleanViewUp(view: CleanView, options: CleanupOptions): Promise<CleanupReport> {
  const { name, siteDirectory, ...limits } = options;
  const done: string[] = [];
  const own = await runChrootsCleanup(view, limits);
  if (own.kind === 'ran') done.push(`ran ${own.what}`);
  else {
    if (own.kind === 'cannot') done.push(own.why);
    done.push(...(await cleanUp(view.root, limits.signal)).done);
    const scripts = await runChrootsScripts(view, limits);
    if (scripts.kind === 'ran') done.push(`ran ${scripts.what}`);
    if (scripts.kind === 'cannot') done.push(scripts.why);
  }
  const site = await runSitesCleanup(view, siteDirectory, name, limits);
  if (site.length > 0) done.push(`ran ${site.join(', ')} of ${siteDirectory}`);
  return { done };
}
