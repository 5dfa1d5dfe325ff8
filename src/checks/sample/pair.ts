import fs from 'node:fs';
import { hasCode } from '../../errors.ts';
import { openInRoot } from '../../system/posix.ts';
import type { Entry } from '../../tree/entry.ts';
import { sameAttributes } from './attributes.ts';

export type Pair = {
  /** Descriptors of the source's and the mounted image's root directories. */
  source: number;
  image: number;
  /** The file as the source's manifest has it. */
  entry: Entry;
  /** On the clock of `performance.now()`; the comparison then ends in the middle of the file. */
  deadline: number;
};

/** `bytes` were found to be the same. `what` begins with a verb, for a message that names the file. */
export type PairResult = { bytes: number } & (
  | { kind: 'same' }
  | { kind: 'part' }
  | { kind: 'different'; what: string }
  /** The source is no longer what the manifest says. */
  | { kind: 'untold'; what: string }
  | { kind: 'unreadable'; error: unknown }
);

/** Compares one regular file of an image, its bytes and extended attributes, with the same file of the source. */
export function comparePair({ source, image, entry, deadline }: Pair): PairResult {
  const mine = openFile(source, entry.path);
  if (mine.kind === 'failed') {
    // it vanished, or became a link, a socket, a directory
    const gone = hasCode(mine.error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENODEV');
    if (gone) return { kind: 'untold', bytes: 0, what: 'is no longer there' };
    return { kind: 'unreadable', bytes: 0, error: mine.error };
  }
  try {
    if (!isAsWalked(mine.fd, entry)) return { kind: 'untold', bytes: 0, what: 'was changed' };
    const content = compareWith(mine.fd, image, entry, deadline);
    const result = content.kind === 'same' ? compareAttributes({ source, image, entry }, content.bytes) : content;
    // it may have changed while it was read
    return result.kind === 'same' || result.kind === 'part' || isAsWalked(mine.fd, entry)
      ? result
      : { kind: 'untold', bytes: 0, what: 'was changed' };
  } finally {
    fs.closeSync(mine.fd);
  }
}

function compareWith(mine: number, image: number, entry: Entry, deadline: number): PairResult {
  const its = openFile(image, entry.path);
  if (its.kind === 'failed') {
    if (hasCode(its.error, 'ENOENT', 'ENOTDIR')) return { kind: 'different', bytes: 0, what: 'is missing' };
    if (hasCode(its.error, 'ELOOP')) return { kind: 'different', bytes: 0, what: 'is a symlink instead of a file' };
    return { kind: 'different', bytes: 0, what: cannotBeRead(its.error) };
  }
  try {
    const stats = fs.fstatSync(its.fd);
    if (!stats.isFile()) return { kind: 'different', bytes: 0, what: 'is no file' };
    if (stats.size !== entry.size) {
      return { kind: 'different', bytes: 0, what: `has ${stats.size} bytes instead of ${entry.size}` };
    }
    return compareBytes(mine, its.fd, entry.size, deadline);
  } finally {
    fs.closeSync(its.fd);
  }
}

function compareAttributes({ source, image, entry }: Omit<Pair, 'deadline'>, bytes: number): PairResult {
  try {
    if (sameAttributes(source, image, entry.path)) return { kind: 'same', bytes };
    return { kind: 'different', bytes, what: "has other extended attributes than the chroot's" };
  } catch (error) {
    return { kind: 'different', bytes, what: `has extended attributes that ${cannotBeRead(error)}` };
  }
}

const PIECE = 2 ** 20;
const ours = Buffer.allocUnsafeSlow(PIECE);
const theirs = Buffer.allocUnsafeSlow(PIECE);

function compareBytes(mine: number, its: number, size: number, deadline: number): PairResult {
  for (let bytes = 0; bytes < size; ) {
    if (performance.now() >= deadline) return { kind: 'part', bytes };
    const length = Math.min(PIECE, size - bytes);
    let wanted: number;
    try {
      wanted = readFully(mine, ours, length, bytes);
    } catch (error) {
      return { kind: 'unreadable', bytes, error };
    }
    if (wanted < length) return { kind: 'untold', bytes, what: 'became shorter' };
    let found: number;
    try {
      found = readFully(its, theirs, length, bytes);
    } catch (error) {
      return { kind: 'different', bytes, what: cannotBeRead(error) };
    }
    if (found < length || ours.compare(theirs, 0, length, 0, length) !== 0) {
      const offset = bytes + firstDifference(found);
      return { kind: 'different', bytes, what: `has other bytes than the chroot's, from byte ${offset} on` };
    }
    bytes += length;
  }
  return { kind: 'same', bytes: size };
}

function readFully(fd: number, buffer: Buffer, length: number, position: number): number {
  let read = 0;
  while (read < length) {
    const more = fs.readSync(fd, buffer, read, length - read, position + read);
    if (more === 0) break;
    read += more;
  }
  return read;
}

function firstDifference(length: number): number {
  let at = 0;
  while (at < length && ours[at] === theirs[at]) at += 1;
  return at;
}

/** Also a write through a mapping that leaves the times alone is no change to us: nobody could tell it from a fault. */
function isAsWalked(fd: number, entry: Entry): boolean {
  const { size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
  return size === BigInt(entry.size) && mtimeNs === entry.mtime && ctimeNs === entry.ctime;
}

type Opened = { kind: 'opened'; fd: number } | { kind: 'failed'; error: unknown };

function openFile(root: number, path: string): Opened {
  try {
    return { kind: 'opened', fd: openLong(root, path) };
  } catch (error) {
    return { kind: 'failed', error };
  }
}

/** The kernel takes paths of less than 4096 bytes; a name has up to 255. */
const LONG = 3_500;

/** Not through a symlink as the last part, not out of the root by any, and not waiting for a FIFO's other end. */
function openLong(root: number, path: string): number {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = fs.constants;
  if (path.length <= LONG) return openInRoot(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, 'latin1');
  const cut = path.lastIndexOf('/', LONG);
  const above = openInRoot(root, path.slice(0, cut), O_RDONLY | O_DIRECTORY, 0, 'latin1');
  try {
    return openLong(above, path.slice(cut + 1));
  } finally {
    fs.closeSync(above);
  }
}

function cannotBeRead(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return `cannot be read (${code})`;
}
