import { messageOf, RejectedError, UsageError, UserError } from '../errors.ts';

/** Options that every command takes. */
export type GlobalOptions = { root?: string; config?: string };

/** Exit status of an error: 2 wrong usage or config, 3 a check rejected an image, 1 everything else. */
export function exitOf(error: unknown): 1 | 2 | 3 {
  if (error instanceof UsageError) return 2;
  if (error instanceof RejectedError) return 3;
  return 1;
}

/** Says on standard error what went wrong: in one line for the person who can act on it, with the stack when it is a bug. */
export function report(program: string, error: unknown): void {
  const bug = error instanceof Error && !(error instanceof UserError) && !('code' in error);
  const text = bug ? `internal error: ${error.stack ?? error.message}` : messageOf(error);
  process.stderr.write(`${program}: ${text}\n`);
}
