import fs, { type BigIntStats } from 'node:fs';
import { hasCode, UserError, VoidError } from '../errors.ts';
import { displayEntry } from '../tree/display.ts';
import type { Entry } from '../tree/entry.ts';

/** A file of the source, open. Each function throws VoidError when it is not what the walk saw. */
export type SourceFile = {
  /** Bytes: as the walk saw it, or what it is now for one that changes by itself. */
  size: number;
  /** Fills the start of `buffer` with `length` bytes from `position`. */
  read: (buffer: Buffer, position: number, length: number) => void;
  /** Where the next data at or behind a position is; up to there are zeros. */
  nextData: (position: number) => number;
};

/** How files of the source are reached. */
export type SourceAccess = {
  /**
   * Opens an entry's file for reading. No symlink should be followed, and no FIFO waited for.
   * @returns a descriptor that the writer closes
   */
  open: (entry: Entry, index: number) => number;
  /** lseek(2) with SEEK_DATA, or the file's size when no data is behind the position. Without it holes are read. */
  nextData?: (fd: number, position: number) => number;
};

/**
 * Opens a regular file of the source and reads it as the walk saw it. One that changes by itself (`ignored`) is read as
 * it is now, since a log that grows is no reason to give up; it only must not become shorter meanwhile.
 * @param use called with the open file
 * @throws VoidError when it vanished, or is or becomes another file or is written to; UserError when it can't be read
 */
export async function withSourceFile(
  access: SourceAccess,
  entry: Entry,
  index: number,
  use: (file: SourceFile) => Promise<void>,
): Promise<void> {
  const fd = attempt(entry, () => access.open(entry, index));
  try {
    const stats = attempt(entry, () => fs.fstatSync(fd, { bigint: true }));
    if (!stats.isFile() || !isAsWalked(stats, entry)) throw changed(entry);
    await use({
      size: Number(stats.size),
      read: (buffer, position, length) => {
        const count = attempt(entry, () => readFully(fd, buffer, position, length));
        if (count !== length) throw changed(entry);
      },
      nextData: (position) => attempt(entry, () => access.nextData?.(fd, position) ?? position),
    });
    const after = attempt(entry, () => fs.fstatSync(fd, { bigint: true }));
    if (!isAsWalked(after, entry)) throw changed(entry);
  } finally {
    fs.closeSync(fd);
  }
}

function isAsWalked(stats: BigIntStats, entry: Entry): boolean {
  if (entry.ignored) return true;
  return stats.size === BigInt(entry.size) && stats.mtimeNs === entry.mtime && stats.ctimeNs === entry.ctime;
}

function readFully(fd: number, buffer: Buffer, position: number, length: number): number {
  let done = 0;
  while (done < length) {
    const count = fs.readSync(fd, buffer, done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function attempt<T>(entry: Entry, read: () => T): T {
  try {
    return read();
  } catch (error) {
    // vanished, or became a directory or a symlink
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO')) throw changed(entry, error);
    throw new UserError(`cannot read ${displayEntry(entry.path)}`, { cause: error });
  }
}

function changed(entry: Entry, cause?: unknown): VoidError {
  return new VoidError(`cannot pack ${displayEntry(entry.path)}: it changed while it was read`, { cause });
}
