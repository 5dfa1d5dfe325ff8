import fs from 'node:fs';
import { BusyError, hasCode } from '../errors.ts';
import { tryLock } from './posix.ts';

/** Who has a lock: written into the lock file for those who find it taken. Only the kernel's lock says whether it is taken. */
export type Holder = { pid: number; program: string; what: string };

/** An exclusive lock on a file, held until `release` or the process' end, however that comes. */
export class FileLock {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Takes the lock at once.
   * @throws BusyError when another program, or another part of this one, has it
   */
  static take(file: string, holder: Holder): FileLock {
    const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW, 0o640);
    try {
      if (!tryLock(fd)) {
        const who = holderOf(file);
        const words = who === undefined ? 'another program' : `${who.program} (pid ${who.pid})`;
        throw new BusyError(`cannot ${holder.what}: ${words} holds ${file}`, words);
      }
      note(fd, `${JSON.stringify(holder)}\n`);
      return new FileLock(fd);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  release(): void {
    note(this.#fd, '');
    fs.closeSync(this.#fd);
  }
}

/** Says who has the lock. It counts without: on a full disk people must still be able to revert. */
function note(fd: number, text: string): void {
  try {
    fs.ftruncateSync(fd);
    fs.writeSync(fd, text, 0);
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT', 'EIO')) throw error;
  }
}

/** What the last holder wrote; true only while the lock is taken. */
export function holderOf(file: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('pid' in value && 'program' in value && 'what' in value)) return undefined;
    const { pid, program, what } = value;
    if (typeof pid !== 'number' || typeof program !== 'string' || typeof what !== 'string') return undefined;
    return { pid, program, what };
  } catch {
    // an empty or half-written note: the lock is taken all the same, only its holder stays unnamed
    return undefined;
  }
}
