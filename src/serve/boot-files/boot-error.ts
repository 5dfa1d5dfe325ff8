import { CancelledError, hasCode, messageOf, UserError } from '../../errors.ts';

/** An error of the file system as one for the person who reads it. `doing` is what could not be done. */
export function bootError(doing: string, directory: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  if (error instanceof Error && error.name === 'AbortError')
    return new CancelledError('writing boot files was stopped');
  return new UserError(`cannot ${doing}: ${reason(directory, error)}`, { cause: error });
}

function reason(directory: string, error: unknown): string {
  if (hasCode(error, 'ENOSPC', 'EDQUOT')) return `the file system of ${directory} is full (make room there)`;
  if (hasCode(error, 'EROFS')) {
    return `${directory} is on a read-only file system (mount it writable, or take it out of serve.tftp_dirs)`;
  }
  return messageOf(error);
}
