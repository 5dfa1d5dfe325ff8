import fs from 'node:fs';
import { hasCode } from '../errors.ts';
import { openInRoot } from '../system/posix.ts';

/** Linux' O_PATH, which node:fs has no name for: a descriptor that only tells what a path is. */
const O_PATH = 0o10000000;

/**
 * Opens `file` as a process in the chroot would see it: no symlink leads out, and a FIFO doesn't make it wait.
 * @param file relative to the chroot
 * @param flags fs.constants.O_*; with O_NOFOLLOW a symlink as last part is refused
 * @returns a descriptor that the caller closes, or null when there is nothing of that name
 * @throws an error with `code` as of node:fs
 */
export function openInside(chroot: string, file: string, flags: number, mode = 0): number | null {
  try {
    const root = fs.openSync(chroot, O_PATH | fs.constants.O_DIRECTORY);
    try {
      // O_PATH waits for nothing, and openat2 refuses the two together
      const patience = (flags & O_PATH) === 0 ? fs.constants.O_NONBLOCK : 0;
      return openInRoot(root, file, flags | patience, mode);
    } finally {
      fs.closeSync(root);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

/**
 * True when `file` leads to a regular file inside the chroot, also by symlinks.
 * @throws an error with `code` as of node:fs
 */
export function isFileInside(chroot: string, file: string): boolean {
  try {
    const fd = openInside(chroot, file, O_PATH);
    if (fd === null) return false;
    try {
      return fs.fstatSync(fd).isFile();
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    // symlinks that lead to each other
    if (hasCode(error, 'ELOOP')) return false;
    throw error;
  }
}

/**
 * The names in a directory inside the chroot, sorted; none when it is not there or no directory.
 * @throws an error with `code` as of node:fs
 */
export function namesInside(chroot: string, directory: string): string[] {
  const fd = openInside(chroot, directory, fs.constants.O_RDONLY);
  if (fd === null) return [];
  try {
    return fs.fstatSync(fd).isDirectory() ? fs.readdirSync(`/proc/self/fd/${fd}`).sort() : [];
  } finally {
    fs.closeSync(fd);
  }
}

/** A file's bytes, or why there are none. */
export type FileInside = { kind: 'read'; data: Buffer } | { kind: 'absent' } | { kind: 'refused'; why: string };

/** Reads a regular file of at most `limit` bytes inside the chroot; anything else, a symlink too, is refused. */
export function readInside(chroot: string, file: string, limit: number): FileInside {
  try {
    const fd = openInside(chroot, file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    if (fd === null) return { kind: 'absent' };
    try {
      return readRegular(fd, limit);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ELOOP')) return { kind: 'refused', why: 'it is a symlink' };
    // openat2 on a socket, or a device that nobody serves
    if (hasCode(error, 'ENXIO', 'ENODEV')) return { kind: 'refused', why: 'it is not a regular file' };
    throw error;
  }
}

function readRegular(fd: number, limit: number): FileInside {
  const stats = fs.fstatSync(fd);
  if (!stats.isFile()) return { kind: 'refused', why: 'it is not a regular file' };
  if (stats.size > limit) {
    return { kind: 'refused', why: `it has ${stats.size} bytes, more than ${limit} cannot be right` };
  }
  // one byte more than it had: whatever grows meanwhile, no more is read
  const data = Buffer.alloc(stats.size + 1);
  let length = 0;
  for (let read = -1; read !== 0 && length < data.length; length += read) {
    read = fs.readSync(fd, data, length, data.length - length, null);
  }
  return { kind: 'read', data: data.subarray(0, Math.min(length, stats.size)) };
}
