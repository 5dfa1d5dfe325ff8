import path from 'node:path';
import { printable } from '../report/printable.ts';
import { runSiteProgram } from '../system/site-program.ts';
import { sitePrograms } from '../system/site-programs.ts';

export type SiteChecksOptions = {
  /** Has required.d and wanted.d: /etc/ltsp/autoimage.d/check; it need not exist. */
  directory: string;
  /** The chroot's name, the image's file, and the root directory of the mounted image. */
  name: string;
  image: string;
  root: string;
  /** Where the image is served while the checks run, or null when it is not. */
  nbdUri: string | null;
  /** Milliseconds that each program may take. */
  timeout: number;
};

/** `took` in milliseconds; `program` as in required.d/10-x. */
export type SiteCheck =
  | { kind: 'passed'; program: string; took: number }
  | { kind: 'failed'; program: string; took: number; why: string }
  | { kind: 'skipped'; program: string; why: string };

/** `warnings`: wanted ones that failed, and files that are not run, in words. */
export type SiteVerdict =
  | { kind: 'passed'; checks: SiteCheck[]; warnings: string[] }
  | { kind: 'rejected'; checks: SiteCheck[]; warnings: string[]; reason: string };

/**
 * Runs the site's own checks of an image one after the other: the programs in required.d, each of which has to end with
 * status 0, then those in wanted.d, unless one of the first has failed. They are trusted and see the whole server; what
 * they start and mount ends with them. In their environment: LTSP_AUTOIMAGE_NAME, LTSP_AUTOIMAGE_IMAGE,
 * LTSP_AUTOIMAGE_ROOT, LTSP_AUTOIMAGE_CHECK (required or wanted), and where it is served LTSP_AUTOIMAGE_NBD_URI.
 * @throws CancelledError; UserError when a directory cannot be read
 */
export async function runSiteChecks(options: SiteChecksOptions, signal: AbortSignal): Promise<SiteVerdict> {
  const required = await runAll(options, 'required', signal);
  const skipped = required.filter(({ kind }) => kind === 'skipped').map(inWords);
  const failures = required.filter(({ kind }) => kind === 'failed').map(inWords);
  if (failures.length > 0) {
    return { kind: 'rejected', checks: required, warnings: skipped, reason: failures.join('; ') };
  }
  const wanted = await runAll(options, 'wanted', signal);
  const warnings = [...skipped, ...wanted.filter(({ kind }) => kind !== 'passed').map(inWords)];
  return { kind: 'passed', checks: [...required, ...wanted], warnings };
}

type Weight = 'required' | 'wanted';

async function runAll(options: SiteChecksOptions, weight: Weight, signal: AbortSignal): Promise<SiteCheck[]> {
  const { names, skipped } = sitePrograms(path.join(options.directory, `${weight}.d`));
  const checks: SiteCheck[] = skipped.map(({ name, why }) => {
    return { kind: 'skipped', program: `${weight}.d/${printable(name)}`, why };
  });
  for (const name of names) {
    const program = `${weight}.d/${name}`;
    const started = performance.now();
    const why = await whyFailed(options, weight, program, signal);
    const took = Math.round(performance.now() - started);
    checks.push(why === null ? { kind: 'passed', program, took } : { kind: 'failed', program, took, why });
  }
  return checks;
}

function inWords(check: SiteCheck): string {
  switch (check.kind) {
    case 'passed':
      return `the site's ${check.program} is content`;
    case 'failed':
      return `the site's ${check.program} ${check.why}`;
    case 'skipped':
      return `cannot run the site's ${check.program}: ${check.why}`;
  }
}

async function whyFailed(
  { directory, name, image, root, nbdUri, timeout }: SiteChecksOptions,
  weight: Weight,
  program: string,
  signal: AbortSignal,
): Promise<string | null> {
  const env = {
    LTSP_AUTOIMAGE_NAME: name,
    LTSP_AUTOIMAGE_IMAGE: image,
    LTSP_AUTOIMAGE_ROOT: root,
    LTSP_AUTOIMAGE_CHECK: weight,
    ...(nbdUri === null ? {} : { LTSP_AUTOIMAGE_NBD_URI: nbdUri }),
  };
  const end = await runSiteProgram(directory, program, { env, timeout, signal });
  return end.kind === 'done' ? null : printable(end.why);
}
