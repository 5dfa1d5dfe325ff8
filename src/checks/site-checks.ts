import path from 'node:path';
import { CancelledError, messageOf } from '../errors.ts';
import { printable } from '../report/printable.ts';
import { run } from '../system/processes.ts';
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

/**
 * Runs $1, of whose output the last 4 kB are kept, and then says how it ended. `run` itself would end a program that
 * writes a lot. A program that it leaves behind with its output still open counts as running.
 */
const BOUNDED = `{
  status=$({ { "$1" 3>&- 4>&-; echo $? >&3; } 2>&1 | tail -c 4096 >&4 3>&- 4>&-; } 3>&1)
} 4>&1
printf '\\nstatus %s' "$status"`;

async function whyFailed(
  { directory, name, image, root, nbdUri, timeout }: SiteChecksOptions,
  weight: Weight,
  program: string,
  signal: AbortSignal,
): Promise<string | null> {
  const limit = AbortSignal.timeout(timeout);
  const env = {
    LTSP_AUTOIMAGE_NAME: name,
    LTSP_AUTOIMAGE_IMAGE: image,
    LTSP_AUTOIMAGE_ROOT: root,
    LTSP_AUTOIMAGE_CHECK: weight,
    ...(nbdUri === null ? {} : { LTSP_AUTOIMAGE_NBD_URI: nbdUri }),
  };
  try {
    const command = ['-c', BOUNDED, 'sh', path.join(directory, program)];
    const { stdout } = await run('sh', command, { signal: AbortSignal.any([signal, limit]), env });
    const [, output = '', status] = /^(.*)\nstatus (\d+)$/s.exec(stdout) ?? [];
    return status === '0' ? null : `ended with status ${status ?? 'unknown'}${said(output)}`;
  } catch (error) {
    if (error instanceof CancelledError) {
      if (signal.aborted) throw new CancelledError(`${program} was stopped`);
      return `took longer than ${timeout / 1000} s and was ended`;
    }
    return `could not be run to its end: ${messageOf(error)}`;
  }
}

/** How many lines of a program's output a message has. */
const LINES = 3;

function said(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const last = lines.filter((line) => line !== '').slice(-LINES);
  return last.length === 0 ? '' : `: ${printable(last.join('; '))}`;
}
