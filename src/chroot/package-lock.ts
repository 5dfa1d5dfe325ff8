import fs from 'node:fs';
import { BusyError, hasCode, UserError } from '../errors.ts';
import { lockOwner, tryLock } from '../system/posix.ts';
import type { Chroot } from './chroot.ts';
import { openInside } from './open-inside.ts';

/** The files that dpkg and apt lock, in the order in which apt takes them. */
const LOCK_FILES = [
  'var/lib/dpkg/lock-frontend',
  'var/lib/dpkg/lock',
  'var/lib/apt/lists/lock',
  'var/cache/apt/archives/lock',
];

/**
 * Keeps dpkg and apt of a chroot from working, as they keep each other, until `release` or the process' end. For `/` they
 * are the server's own.
 */
export class PackageLock {
  readonly #fds: readonly number[];

  private constructor(fds: readonly number[]) {
    this.#fds = fds;
  }

  /**
   * Takes all locks or none, at once. A chroot without dpkg has nothing to lock.
   * @throws BusyError while dpkg or apt works in the chroot; UserError when a lock file is not what it should be
   */
  static take(chroot: Chroot): PackageLock {
    const fds: number[] = [];
    try {
      for (const file of LOCK_FILES) {
        const fd = openLockFile(chroot, file);
        if (fd === null) continue;
        fds.push(fd);
        if (!tryLock(fd)) throw busy(chroot, fd);
      }
    } catch (error) {
      for (const fd of fds) fs.closeSync(fd);
      throw error;
    }
    return new PackageLock(fds);
  }

  release(): void {
    // apt takes lock-frontend first: that one goes last, so that it never gets half
    for (const fd of this.#fds.toReversed()) fs.closeSync(fd);
  }
}

/**
 * The programs that hold a lock of the chroot's dpkg or apt now, as "apt-get (pid 1234)"; nothing is locked by asking.
 * @throws UserError when a lock file is not what it should be
 */
export function lockHolders(chroot: Chroot): string[] {
  const holders = new Set<string>();
  for (const file of LOCK_FILES) {
    const fd = openRegular(chroot, file, fs.constants.O_RDONLY);
    if (fd === null) continue;
    try {
      const owner = lockOwner(fd);
      if (owner !== null) holders.add(holderName(owner));
    } finally {
      fs.closeSync(fd);
    }
  }
  return [...holders];
}

/** Opens a lock file and makes one where dpkg or apt would; null where they have no directory for it. */
function openLockFile(chroot: Chroot, file: string): number | null {
  try {
    return openRegular(chroot, file, fs.constants.O_RDWR | fs.constants.O_CREAT);
  } catch (error) {
    // where nobody can write, nobody can install
    if (error instanceof UserError && hasCode(error.cause, 'EROFS')) return null;
    throw error;
  }
}

function openRegular(chroot: Chroot, file: string, flags: number): number | null {
  try {
    const fd = openInside(chroot.path, file, flags | fs.constants.O_NOFOLLOW, 0o640);
    if (fd === null || fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
  } catch (error) {
    const why = hasCode(error, 'ELOOP') ? `${file} is a symlink` : file;
    throw new UserError(`cannot lock the packages of ${chroot.name}: ${why}`, { cause: error });
  }
  throw new UserError(`cannot lock the packages of ${chroot.name}: ${file} is not a regular file`);
}

function busy(chroot: Chroot, fd: number): BusyError {
  // it may have been let go of in between
  const holder = holderName(lockOwner(fd) ?? 'unknown');
  return new BusyError(`cannot lock the packages of ${chroot.name}: ${holder} is using them`, holder);
}

function holderName(owner: number | 'unknown'): string {
  if (owner === 'unknown') return 'another program';
  try {
    return `${fs.readFileSync(`/proc/${owner}/comm`, 'utf8').trim()} (pid ${owner})`;
  } catch {
    return `a program that has just ended (pid ${owner})`;
  }
}
