import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError, CancelledError, hasCode, messageOf, UserError } from '../errors.ts';
import { makeDirectory } from '../system/durable.ts';
import { FileLock, holderOf } from '../system/file-lock.ts';
import { isRunning } from '../system/processes.ts';

/** How often a lock that another program has is tried again. The kernel can tell, but only to a blocked thread. */
const RETRY = 500;

/**
 * The one lock, BASE/images/.lock, of every program that builds or switches images. Jobs of this process share it; it is
 * held while at least one of them runs.
 */
export class ImagesLock {
  readonly #file: string;
  readonly #program: string;
  readonly #recover: () => Promise<void>;
  #held: { lock: FileLock; recovered: Promise<void> } | null = null;
  #users = 0;

  /**
   * @param recover undoes what a crash left half done; run whenever the lock is newly taken, before anything else: only
   *   then is it certain that no other program works on what a journal tells of
   */
  constructor(file: string, program: string, recover: () => Promise<void>) {
    this.#file = file;
    this.#program = program;
    this.#recover = recover;
  }

  /**
   * Runs `job` under the lock.
   * @param onWait told once who has the lock, when it has to be waited for; null: do not wait
   * @throws BusyError when it is taken and may not be waited for; CancelledError when `signal` ends the wait
   */
  async during<T>(
    what: string,
    signal: AbortSignal,
    onWait: ((holder: string) => void) | null,
    job: () => Promise<T>,
  ): Promise<T> {
    await this.#acquire(what, signal, onWait);
    try {
      await this.#held?.recovered;
      return await job();
    } finally {
      this.#users -= 1;
      if (this.#users === 0) {
        this.#held?.lock.release();
        this.#held = null;
      }
    }
  }

  /** The other program that has the lock for `what`, as it noted itself there: "ltsp-autoimage (pid 1234)". */
  holderFor(what: string): string | undefined {
    const holder = this.#held === null ? holderOf(this.#file) : undefined;
    if (holder === undefined || holder.what !== what || !isRunning(holder.pid)) return undefined;
    return `${holder.program} (pid ${holder.pid})`;
  }

  async #acquire(what: string, signal: AbortSignal, onWait: ((holder: string) => void) | null): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      if (signal.aborted) throw new CancelledError(`waiting for ${this.#file} was stopped`);
      try {
        if (this.#held === null) {
          makeDirectory(path.dirname(this.#file), 0o755);
          const lock = FileLock.take(this.#file, { pid: process.pid, program: this.#program, what });
          this.#held = { lock, recovered: this.#recover() };
          // awaited by each user, but the first may be slow to come to it
          this.#held.recovered.catch(() => {});
        }
        this.#users += 1;
        return;
      } catch (error) {
        if (!(error instanceof BusyError)) throw unusable(path.dirname(this.#file), error);
        if (onWait === null) throw error;
        if (tries === 0) onWait(error.holder);
        await sleep(RETRY, undefined, { signal }).catch(() => {});
      }
    }
  }
}

function unusable(directory: string, error: unknown): UserError {
  const hint = hasCode(error, 'EACCES', 'EPERM') ? ' (run as root)' : '';
  return new UserError(`cannot write to ${directory}: ${messageOf(error)}${hint}`, { cause: error });
}
