/**
 * An error made for the person who reads it: what could not be done, why, and what to do about it.
 * Messages begin with "cannot …" and name the thing in the user's terms.
 */
export class UserError extends Error {
  override name = 'UserError';
}

/** Wrong usage of a command, or a config that is not valid: exit status 2. */
export class UsageError extends UserError {
  override name = 'UsageError';
}

/** A check rejected an image; the image that was live before is live (again): exit status 3. */
export class RejectedError extends UserError {
  override name = 'RejectedError';
}

/** The source changed while it was read: the candidate is void, nothing is known about its quality. */
export class VoidError extends UserError {
  override name = 'VoidError';
}

/** The job was told to stop (SIGTERM, a revert of the same chroot) before it changed anything that clients see. */
export class CancelledError extends UserError {
  override name = 'CancelledError';
}

/** Not now: something else has what the job needs. `holder` says who, in words. A build retries; it is no failure. */
export class BusyError extends UserError {
  override name = 'BusyError';
  readonly holder: string;

  constructor(message: string, holder: string, options?: ErrorOptions) {
    super(message, options);
    this.holder = holder;
  }
}

/** True for an error of the operating system with this code, for example `hasCode(error, 'ENOENT')`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** The message of anything that was thrown, with its causes, on one line. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : messageOf(error.cause);
  return cause === '' || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
