import path from 'node:path';
import { CancelledError, messageOf } from '../errors.ts';
import { run } from './processes.ts';

export type SiteProgramOptions = {
  env: Record<string, string>;
  /** Milliseconds after which it is ended, with all that it started. */
  timeout: number;
  signal: AbortSignal;
  /** On its standard input; without, that is empty. */
  input?: string;
};

/** `why` completes "PROGRAM …" and has the last lines of its output as they are. */
export type SiteProgramEnd = { kind: 'done' } | { kind: 'failed'; why: string };

/**
 * Runs one of a site's own programs (see `sitePrograms`) to its end, which is good with status 0. It is trusted and sees
 * the whole server; what it starts and mounts ends with it.
 * @param program its path in the directory
 * @throws CancelledError when `signal` ended it
 */
export async function runSiteProgram(
  directory: string,
  program: string,
  { env, timeout, signal, input }: SiteProgramOptions,
): Promise<SiteProgramEnd> {
  const limit = AbortSignal.timeout(timeout);
  const options = {
    env,
    signal: AbortSignal.any([signal, limit]),
    ...(input === undefined ? {} : { input }),
  };
  try {
    const { stdout } = await run('sh', ['-c', BOUNDED, 'sh', path.join(directory, program)], options);
    const [, output = '', status] = /^(.*)\nstatus (\d+)$/s.exec(stdout) ?? [];
    if (status === '0') return { kind: 'done' };
    return { kind: 'failed', why: `ended with status ${status ?? 'unknown'}${said(output)}` };
  } catch (error) {
    if (error instanceof CancelledError) {
      if (signal.aborted) throw new CancelledError(`${program} was stopped`);
      return { kind: 'failed', why: `took longer than ${timeout / 1000} s and was ended` };
    }
    return { kind: 'failed', why: `could not be run to its end: ${messageOf(error)}` };
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

/** How many lines of a program's output a message has. */
const LINES = 3;

function said(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  const last = lines.filter((line) => line !== '').slice(-LINES);
  return last.length === 0 ? '' : `: ${last.join('; ')}`;
}
