import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CancelledError, hasCode, UserError } from '../../errors.ts';

const execute = promisify(execFile);

/** Milliseconds; long enough for a unit that waits for the network. */
const LIMIT = 60_000;

/**
 * Asks systemd for something, and waits until it is done. Not confined as other programs are: in a pid namespace of its
 * own systemctl cannot see who answers it, and refuses ("No data available").
 * @returns what systemctl wrote
 * @throws UserError with what systemd says; CancelledError when `signal` ended it
 */
export async function systemctl(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const command = `systemctl ${args.join(' ')}`;
  try {
    const env = { ...process.env, LC_ALL: 'C.UTF-8' };
    const { stdout } = await execute('systemctl', args, { timeout: LIMIT, env, ...(signal && { signal }) });
    return stdout;
  } catch (error) {
    if (signal?.aborted === true) throw new CancelledError(`${command} was stopped`);
    throw new UserError(`cannot finish ${command}: ${reason(error)}`, { cause: undefined });
  }
}

function reason(error: unknown): string {
  if (hasCode(error, 'ENOENT')) return 'systemctl is not installed';
  if (!(error instanceof Error)) return String(error);
  if ('killed' in error && error.killed === true) return `it took longer than ${LIMIT / 1000} s`;
  const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim().split('\n') : [];
  const code = 'code' in error ? `it ended with status ${String(error.code)}` : error.message;
  return [code, ...said.filter(Boolean).slice(-3)].join('; ');
}
