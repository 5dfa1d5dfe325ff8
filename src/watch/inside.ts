import fs from 'node:fs';
import path from 'node:path';
import { openInside } from '../chroot/open-inside.ts';
import { messageOf } from '../errors.ts';

/** Linux' O_PATH, which node:fs has no name for: a descriptor that only tells what a path is. */
const O_PATH = 0o10000000;

/** Where a path of a chroot really is, or why it is nowhere. `path` is absolute and free of symlinks. */
export type Inside =
  | { kind: 'directory' | 'other'; path: string }
  | { kind: 'absent' }
  /** It is a symlink that leads to nothing in the chroot, or cannot be followed. */
  | { kind: 'nowhere'; why: string };

/** Follows symlinks as a process in the chroot would: none leads out of it. */
export function findInside(chroot: string, file: string): Inside {
  try {
    const fd = openInside(chroot, file, O_PATH);
    if (fd === null) return isThere(chroot, file) ? { kind: 'nowhere', why: 'it leads nowhere' } : { kind: 'absent' };
    try {
      const kind = fs.fstatSync(fd).isDirectory() ? 'directory' : 'other';
      return { kind, path: fs.readlinkSync(`/proc/self/fd/${fd}`) };
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    return { kind: 'nowhere', why: messageOf(error) };
  }
}

/** A path of a chroot, however it was written, as one relative to it that does not climb out. */
export function relativeInside(file: string): string {
  return path.join('/', file).replace(/^\/|\/$/g, '');
}

/** Whether there is something of that name, be it a symlink to nothing. */
function isThere(chroot: string, file: string): boolean {
  const fd = openInside(chroot, file, O_PATH | fs.constants.O_NOFOLLOW);
  if (fd === null) return false;
  fs.closeSync(fd);
  return true;
}
