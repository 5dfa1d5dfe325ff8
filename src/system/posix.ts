import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import type { KoffiFunc } from 'koffi';

/**
 * POSIX and Linux calls that Node has no function for, through libc. Everything that is unsafe by type is in this file.
 * koffi is loaded with the first call, so that a command that needs none of this does not pay for it.
 */

type Libc = {
  open: (dirfd: number, path: Buffer, how: Buffer) => number;
  fcntl: (fd: number, command: number, lock: Buffer) => number;
  fnmatch: KoffiFunc<(pattern: Buffer, name: Buffer, flags: number) => number>;
  renameat2: (from: Buffer, to: Buffer, flags: number) => number;
  fadvise: (fd: number, advice: number) => number;
  cachestat: (fd: number, range: Buffer, result: Buffer) => number;
  lseek: (fd: number, offset: number, whence: number) => number;
  listxattr: (path: Buffer, list: Buffer, size: number) => number;
  getxattr: (path: Buffer, name: Buffer, value: Buffer, size: number) => number;
  errno: () => number;
};

const SYS_openat2 = 437; // the same on every architecture (Linux 5.6)
const SYS_cachestat = 451; // the same on every architecture (Linux 6.5)
const AT_FDCWD = -100;

let loaded: Libc | undefined;

function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load('libc.so.6');
  const syscall = library.func('long syscall(long number, ...)');
  const fcntl = library.func('int fcntl(int fd, int command, ...)');
  const renameat2 = library.func(
    'int renameat2(int olddir, const uint8_t *from, int newdir, const uint8_t *to, unsigned int flags)',
  );
  const fadvise = library.func('int posix_fadvise64(int fd, int64_t offset, int64_t length, int advice)');
  const lseek = library.func('int64_t lseek64(int fd, int64_t offset, int whence)');
  const listxattr = library.func('int64_t listxattr(const uint8_t *path, uint8_t *list, size_t size)');
  const getxattr = library.func(
    'int64_t getxattr(const uint8_t *path, const uint8_t *name, uint8_t *value, size_t size)',
  );
  loaded = {
    lseek: (fd, offset, whence) => Number(lseek(fd, offset, whence)),
    listxattr: (path, list, size) => Number(listxattr(path, list, size)),
    getxattr: (path, name, value, size) => Number(getxattr(path, name, value, size)),
    open: (dirfd, path, how) =>
      Number(syscall(SYS_openat2, 'int', dirfd, 'uint8_t *', path, 'uint8_t *', how, 'size_t', how.length)),
    fcntl: (fd, command, lock) => Number(fcntl(fd, command, 'uint8_t *', lock)),
    fnmatch: library.func('int fnmatch(const uint8_t *pattern, const uint8_t *name, int flags)'),
    renameat2: (from, to, flags) => Number(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)),
    fadvise: (fd, advice) => Number(fadvise(fd, 0, 0, advice)),
    cachestat: (fd, range, result) =>
      Number(syscall(SYS_cachestat, 'int', fd, 'uint8_t *', range, 'uint8_t *', result, 'unsigned int', 0)),
    errno: () => koffi.errno(),
  };
  return loaded;
}

function systemError(call: string, path: string): NodeJS.ErrnoException {
  const number = libc().errno();
  const code = Object.entries(os.constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
  return Object.assign(new Error(`${code}: ${call} '${path}'`), { code, errno: -number, syscall: call, path });
}

function cString(text: string, encoding: BufferEncoding): Buffer {
  return Buffer.from(`${text}\0`, encoding);
}

const RESOLVE_NO_MAGICLINKS = 0x02n;
const RESOLVE_IN_ROOT = 0x10n;

/**
 * openat2(2) with RESOLVE_IN_ROOT: opens `path` as a process chrooted to `rootFd` would see it. A symlink, absolute or
 * with any number of `..`, never leads out of the root.
 * @param rootFd an open directory
 * @param path relative or absolute inside the root; one char per byte when `encoding` is latin1
 * @param flags fs.constants.O_*; add O_NOFOLLOW to refuse a symlink as last part, O_NONBLOCK so that a FIFO cannot hang
 * @returns a file descriptor that the caller closes
 * @throws an error with `code` as of node:fs
 */
export function openInRoot(
  rootFd: number,
  path: string,
  flags: number,
  mode = 0,
  encoding: BufferEncoding = 'utf8',
): number {
  const O_CLOEXEC = 0o2000000;
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  // openat2 refuses a mode where nothing can be made
  how.writeBigUInt64LE(BigInt((flags & fs.constants.O_CREAT) === 0 ? 0 : mode), 8);
  how.writeBigUInt64LE(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, 16);
  for (let tries = 1; ; tries += 1) {
    const fd = libc().open(rootFd, cString(path, encoding), how);
    if (fd >= 0) return fd;
    const error = systemError('openat2', path);
    // openat2(2): a rename or mount anywhere on the machine raced with a `..`; whoever calls is to try again
    if (error.code !== 'EAGAIN' || tries === RACES) throw error;
  }
}

/** On a busy machine some in a row happen, so many do not. */
const RACES = 1000;

/** The kernel takes paths of less than 4096 bytes; a name has up to 255. */
const LONG = 3_500;

/**
 * `openInRoot` for a path of a walk (latin1), which may be longer than the kernel takes: it then goes there in pieces.
 * @throws an error with `code` as of node:fs
 */
export function openWalked(rootFd: number, path: string, flags: number): number {
  if (path.length <= LONG) return openInRoot(rootFd, path === '' ? '.' : path, flags, 0, 'latin1');
  const cut = path.lastIndexOf('/', LONG);
  const above = openInRoot(rootFd, path.slice(0, cut), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, 0, 'latin1');
  try {
    return openWalked(above, path.slice(cut + 1), flags);
  } finally {
    fs.closeSync(above);
  }
}

const O_PATH = 0o10000000;
/** Longer lists and values no kernel has (XATTR_LIST_MAX, XATTR_SIZE_MAX). */
const XATTR_MOST = 65_536;

let xattrRoom: { list: Buffer; value: Buffer } | undefined;

/** One extended attribute: its name, one char per byte, and its value. */
export type ExtendedAttribute = { name: string; value: Buffer };

/**
 * The extended attributes of a path of a walk (listxattr(2), getxattr(2)), of whatever type it is; a symlink is not
 * followed. None where the file system has none.
 * @param path relative to `rootFd`, one char per byte (latin1); '' is the root itself
 * @throws an error with `code` as of node:fs
 */
export function extendedAttributes(rootFd: number, path: string): ExtendedAttribute[] {
  const fd = openWalked(rootFd, path, O_PATH | fs.constants.O_NOFOLLOW);
  try {
    // neither fgetxattr takes such a descriptor nor is there a getxattrat before Linux 6.13
    const place = cString(`/proc/self/fd/${fd}`, 'latin1');
    xattrRoom ??= { list: Buffer.alloc(XATTR_MOST), value: Buffer.alloc(XATTR_MOST) };
    const { list, value } = xattrRoom;
    const length = libc().listxattr(place, list, list.length);
    if (length < 0) {
      const error = systemError('listxattr', path);
      if (error.code === 'ENOTSUP' || error.code === 'EOPNOTSUPP') return [];
      throw error;
    }
    const names = list.toString('latin1', 0, length).split('\0').slice(0, -1);
    return names.flatMap((name) => {
      const size = libc().getxattr(place, cString(name, 'latin1'), value, value.length);
      if (size >= 0) return [{ name, value: Buffer.from(value.subarray(0, size)) }];
      const error = systemError('getxattr', path);
      // it was removed in between
      if (error.code === 'ENODATA') return [];
      throw error;
    });
  } finally {
    fs.closeSync(fd);
  }
}

const SEEK_DATA = 3;

/**
 * Where the next data of a file is, at or behind a position (lseek(2), SEEK_DATA): what is before it is a hole. The
 * position itself where the file system does not tell.
 * @param fd whose file offset nobody uses
 * @returns null when all that follows is a hole
 */
export function nextData(fd: number, position: number): number | null {
  const data = libc().lseek(fd, position, SEEK_DATA);
  if (data >= 0) return data;
  const error = systemError('lseek', `fd ${fd}`);
  if (error.code === 'ENXIO') return null;
  if (error.code === 'EINVAL') return position;
  throw error;
}

const F_OFD_SETLK = 37;
const F_WRLCK = 1;

/**
 * Takes an exclusive open-file-description lock on the whole file (fcntl(2), F_OFD_SETLK) without waiting. It conflicts
 * with the record locks of dpkg and apt, and unlike those it is not dropped when another descriptor of the same file is
 * closed in this process. It ends when `fd` is closed.
 * @returns false when another process has a lock on the file
 */
export function tryLock(fd: number): boolean {
  // struct flock of a 64-bit Linux: l_type, l_whence (16 bit each), l_start, l_len at 8 and 16, l_pid at 24 (must be 0)
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(F_WRLCK, 0);
  if (libc().fcntl(fd, F_OFD_SETLK, lock) === 0) return true;
  const error = systemError('fcntl', `fd ${fd}`);
  if (error.code === 'EAGAIN' || error.code === 'EACCES') return false;
  throw error;
}

const F_GETLK = 5;
const F_UNLCK = 2;

/**
 * Who would keep `tryLock` from taking a lock on the file, without taking it (fcntl(2), F_GETLK). /proc/locks says the
 * same, but by a device number that on btrfs and overlayfs is not the one that stat(2) gives.
 * @param fd open in any mode
 * @returns null when nobody; the process' id; 'unknown' for an open-file-description lock or another pid namespace's
 */
export function lockOwner(fd: number): number | 'unknown' | null {
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(F_WRLCK, 0);
  if (libc().fcntl(fd, F_GETLK, lock) !== 0) throw systemError('fcntl', `fd ${fd}`);
  if (lock.readInt16LE(0) === F_UNLCK) return null;
  const pid = lock.readInt32LE(24);
  return pid > 0 ? pid : 'unknown';
}

const FNM_PATHNAME = 1;
const FNM_PERIOD = 4;
const FNM_EXTMATCH = 32;

/**
 * fnmatch(3) with the flags that mksquashfs -wildcards uses (FNM_PATHNAME, FNM_PERIOD, FNM_EXTMATCH).
 * @param pattern made by `fnmatchPattern`
 * @param name one path component, one char per byte (latin1)
 */
export function fnmatch(pattern: Buffer, name: string): boolean {
  return libc().fnmatch(pattern, cString(name, 'latin1'), FNM_PATHNAME | FNM_PERIOD | FNM_EXTMATCH) === 0;
}

/** A pattern, one char per byte (latin1), in the form that `fnmatch` takes. */
export function fnmatchPattern(pattern: string): Buffer {
  return cString(pattern, 'latin1');
}

const RENAME_EXCHANGE = 2;

/**
 * renameat2(2) with RENAME_EXCHANGE: the two paths change places in one atomic step; both must exist.
 * @throws an error with `code`, EINVAL where the file system cannot do it
 */
export function exchange(one: string, other: string): void {
  if (libc().renameat2(cString(one, 'utf8'), cString(other, 'utf8'), RENAME_EXCHANGE) !== 0) {
    throw systemError('renameat2', one);
  }
}

const POSIX_FADV_DONTNEED = 4;

/** How much of a file the page cache holds, in pages; `unknown` before Linux 6.5. */
export type Cached = { kind: 'known'; pages: number } | { kind: 'unknown' };

/**
 * Takes a file's clean pages out of the page cache (posix_fadvise(2), POSIX_FADV_DONTNEED), and says by cachestat(2) what
 * was in it before and still is after. The kernel keeps what is dirty or mapped by a program, and tmpfs keeps everything.
 * @param fd open for reading; sync it first, or what is dirty stays
 * @throws an error with `errno` as of node:os, negative
 */
export function dropFromCache(fd: number): { before: Cached; after: Cached } {
  const before = cached(fd);
  // by the standard it returns the error and leaves errno alone
  const error = libc().fadvise(fd, POSIX_FADV_DONTNEED);
  if (error !== 0) throw Object.assign(new Error(`cannot drop fd ${fd} from the page cache`), { errno: -error });
  return { before, after: cached(fd) };
}

function cached(fd: number): Cached {
  // struct cachestat_range: offset, length (0: to the end); struct cachestat: five 64-bit counts, nr_cache first
  const result = Buffer.alloc(40);
  if (libc().cachestat(fd, Buffer.alloc(16), result) !== 0) return { kind: 'unknown' };
  return { kind: 'known', pages: Number(result.readBigUInt64LE(0)) };
}
