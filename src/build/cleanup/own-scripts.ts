import fs from 'node:fs';
import path from 'node:path';
import { namesInside, openInside } from '../../chroot/open-inside.ts';
import { UserError } from '../../errors.ts';
import { sitePrograms } from '../../system/site-programs.ts';
import type { CleanView } from '../clean-view.ts';
import { type Ending, type RunInView, runBeside, runConfined } from './confined-run.ts';

const CHROOTS_OWN = 'usr/share/ltsp/ltsp-cleanup';
const CHROOTS_SCRIPTS = 'etc/ltsp/cleanup.d';

/** How long each program may take, in milliseconds, and what ends it. */
export type Limits = Pick<RunInView, 'timeout' | 'signal'>;

/** `why` says what there is that could not be run. */
export type OwnCleanup = { kind: 'ran'; what: string } | { kind: 'absent' } | { kind: 'cannot'; why: string };

/**
 * Runs the chroot's own LTSP 5 cleanup in the view, confined; it sources the scripts of etc/ltsp/cleanup.d itself.
 * @throws UserError when it fails or takes too long; CancelledError
 */
export async function runChrootsCleanup(view: CleanView, limits: Limits): Promise<OwnCleanup> {
  if (!isProgram(view.root, CHROOTS_OWN)) return { kind: 'absent' };
  const what = `the chroot's /${CHROOTS_OWN}`;
  const why = await whyNothingRuns(view, limits);
  if (why !== null) return { kind: 'cannot', why: `cannot run ${what}: ${why}` };
  requireSuccess(what, await runConfined(view, [`/${CHROOTS_OWN}`, '--yes'], { what, ...limits }));
  return { kind: 'ran', what };
}

/**
 * Sources the scripts of the view's etc/ltsp/cleanup.d one by one, confined, where the chroot has no LTSP 5 that would
 * do it. `return` ends such a script.
 * @returns what ran or could not
 * @throws UserError when one fails or takes too long; CancelledError
 */
export async function runChrootsScripts(view: CleanView, limits: Limits): Promise<OwnCleanup> {
  const names = namesInside(view.root, CHROOTS_SCRIPTS).filter((name) => /^[A-Za-z0-9_-]+$/.test(name));
  if (names.length === 0) return { kind: 'absent' };
  const why = await whyNothingRuns(view, limits);
  if (why !== null) return { kind: 'cannot', why: `cannot run the chroot's /${CHROOTS_SCRIPTS}: ${why}` };
  for (const name of names) {
    const what = `the chroot's /${CHROOTS_SCRIPTS}/${name}`;
    const command = ['/bin/sh', '-c', '. "$1"', 'sh', `/${CHROOTS_SCRIPTS}/${name}`];
    requireSuccess(what, await runConfined(view, command, { what, ...limits }));
  }
  return { kind: 'ran', what: `the chroot's /${CHROOTS_SCRIPTS} (${names.join(', ')})` };
}

/**
 * Runs the server's own programs, in the order of their names, with the view's path as their argument and as
 * LTSP_AUTOIMAGE_VIEW, and the chroot's name as LTSP_AUTOIMAGE_NAME. They are trusted: nothing confines them.
 * @param directory /etc/ltsp/autoimage.d/cleanup.d; it need not exist
 * @returns their names
 * @throws UserError when one fails, takes too long or could be changed by others than root; CancelledError
 */
export async function runSitesCleanup(
  view: CleanView,
  directory: string,
  chrootName: string,
  limits: Limits,
): Promise<string[]> {
  const names = programsIn(directory);
  const root = path.join(view.base, 'view');
  for (const name of names) {
    const what = path.join(directory, name);
    const env = { LTSP_AUTOIMAGE_VIEW: root, LTSP_AUTOIMAGE_NAME: chrootName };
    requireSuccess(what, await runBeside(view, [what, root], { what, env, ...limits }));
  }
  return names;
}

/** Null when the chroot's programs run on this machine. */
async function whyNothingRuns(view: CleanView, limits: Limits): Promise<string | null> {
  if (!isProgram(view.root, 'bin/true')) return 'it has no bin/true to try';
  const { status, output } = await runConfined(view, ['/bin/true'], { what: "the chroot's /bin/true", ...limits });
  if (status === 0) return null;
  if (/Exec format error/.test(output)) return 'it is for another architecture';
  return `not even its /bin/true runs on this machine (status ${status}${output === '' ? '' : `: ${output}`})`;
}

function requireSuccess(what: string, { status, output }: Ending): void {
  if (status === 0) return;
  throw new UserError(`cannot finish ${what}: it ended with status ${status}${output === '' ? '' : `: ${output}`}`);
}

/** An executable regular file in the view, also by symlinks that stay in it. */
function isProgram(root: string, file: string): boolean {
  const O_PATH = 0o10000000;
  const fd = openInside(root, file, O_PATH);
  if (fd === null) return false;
  try {
    return isExecutable(fs.fstatSync(fd));
  } finally {
    fs.closeSync(fd);
  }
}

/** One that is left out would leave in the image what it was to take out of it. */
function programsIn(directory: string): string[] {
  const { names, skipped } = sitePrograms(directory);
  const refused = skipped.find(({ kind }) => kind === 'not-safe');
  if (refused === undefined) return names;
  throw new UserError(`cannot run ${path.join(directory, refused.name)}: ${refused.why}`);
}

function isExecutable(stats: fs.Stats): boolean {
  return stats.isFile() && (stats.mode & 0o111) !== 0;
}
