import { UserError } from '../errors.ts';
import { printable } from '../report/printable.ts';
import { fnmatch, fnmatchPattern } from '../system/posix.ts';
import { bootContainer, type Ended } from './boot-container/container.ts';
import type { FailedUnit } from './boot-container/inside.ts';

export type ContainerBootOptions = {
  image: string;
  /** An existing empty directory; only this check sees what is mounted there. */
  mountPoint: string;
  /** Milliseconds for the boot. */
  timeout: number;
  /** Units that may fail: names, or patterns as in `systemd-*.service`. */
  allowed: readonly string[];
};

/** `why` in words, with the failed units' names and the last that was logged. */
export type BootResult =
  | { kind: 'passed'; what: string }
  | { kind: 'failed'; why: string; units: string[] }
  | { kind: 'skipped'; why: string };

/**
 * Boots the image's own systemd in a container (systemd-nspawn) without network, over a throwaway overlay: its default
 * target has to be reached in time, and no unit to have failed but those allowed.
 * @throws CancelledError; UserError when no container can be made here, which says nothing about the image
 */
export async function bootInContainer(options: ContainerBootOptions, signal: AbortSignal): Promise<BootResult> {
  const { image, mountPoint, timeout, allowed } = options;
  const booted = await bootContainer(image, mountPoint, timeout, signal);
  switch (booted.kind) {
    case 'no-nspawn':
      return skipped('systemd-nspawn is not installed (apt-get install systemd-container)');
    case 'no-systemd':
      return skipped('the image has no systemd');
    case 'foreign':
      return skipped('the image is for another architecture');
    case 'ended':
      return resultOf(booted, timeout, allowed);
  }
}

function skipped(why: string): BootResult {
  return { kind: 'skipped', why: `the image is not booted: ${why}` };
}

function failed(why: string, units: string[] = []): BootResult {
  return { kind: 'failed', why: `the image does not boot: ${printable(why)}`, units };
}

/**
 * What nspawn or systemd says when the image's first program was started, or could not be. Anything else before the
 * first report is about the server.
 */
const ABOUT_THE_IMAGE =
  /^execv\(|look.* like an OS|os-release|shared librar|terminated by signal|running in system mode|PID 1|^\[!!!!!!\]/;

function resultOf({ report, limit, said }: Ended, timeout: number, allowed: readonly string[]): BootResult {
  const last = lastOf(said);
  if (report === null) {
    if (limit) return failed(`nothing is heard of it in ${timeout / 1000} s${last}`);
    if (said.every((line) => !ABOUT_THE_IMAGE.test(line))) {
      throw new UserError(`cannot boot an image in a container here${last}`);
    }
    return failed(`its systemd does not start${last}`);
  }
  if (report.kind === 'under-way') {
    const waiting = report.jobs.length === 0 ? '' : `, waiting for ${report.jobs.slice(0, NAMED).join(', ')}`;
    if (limit) return failed(`it is still ${report.state} after ${timeout / 1000} s${waiting}${last}`, report.jobs);
    return failed(`it ended while it was ${report.state}${waiting}${last}`, report.jobs);
  }
  const wrong = report.failed.filter(({ unit }) => !isAllowed(unit, allowed));
  if (wrong.length > 0)
    return failed(
      wrong.slice(0, NAMED).map(unitWords).join('; '),
      wrong.map(({ unit }) => unit),
    );
  if (!report.reached) return failed(`${report.target} is not reached (it is ${report.state})${last}`);
  return { kind: 'passed', what: `it boots to ${report.target} in a container` };
}

/** How many units a message names, and how many lines of a console it has. */
const NAMED = 5;
const LINES = 3;

function unitWords({ unit, log }: FailedUnit): string {
  return `${unit} failed${log.length === 0 ? '' : ` (${log.join('; ')})`}`;
}

function lastOf(said: readonly string[]): string {
  if (said.length === 0) return '';
  // of a program that is there the kernel says so when its interpreter isn't
  const noLoader = said.some((line) => /^execv\(.*No such file or directory/.test(line));
  return `: ${said.slice(-LINES).join('; ')}${noLoader ? ' (the dynamic linker, ld.so, is missing)' : ''}`;
}

function isAllowed(unit: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => fnmatch(fnmatchPattern(pattern), unit));
}
