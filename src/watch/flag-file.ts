import fs from 'node:fs';
import path from 'node:path';
import { hasCode } from '../errors.ts';

/** What a flag file asks for. `name` is that of a chroot, or `all`; nobody has looked whether there is such a chroot. */
export type Trigger = { name: string; force: 'force' | 'if changed' };

/** What lies in the trigger directory under a name. */
export type FlagFile =
  | { kind: 'gone' }
  /** `stamp` differs once more has been written; `complete`: nothing more is to be expected. */
  | { kind: 'file'; stamp: string; complete: boolean }
  | { kind: 'refused'; why: string };

/** Bytes that are read of a flag file. */
const LONGEST = 4096;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/** Looks at a flag file without taking it. @throws an error with `code` as of node:fs */
export function lookAtFlag(directory: string, name: string): FlagFile {
  const fd = openFlag(directory, name);
  if (typeof fd !== 'number') return fd;
  try {
    const { ino, size, mtimeNs, ctimeNs } = fs.fstatSync(fd, { bigint: true });
    const text = contentOf(fd);
    return { kind: 'file', stamp: [ino, size, mtimeNs, ctimeNs].join(' '), complete: text.endsWith('\n') };
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Takes a flag file away and says what it asks for, or null when it is none (any more). The name goes first: what is
 * written under it from then on is another flag file.
 * @throws an error with `code` as of node:fs
 */
export function takeFlag(directory: string, name: string): Trigger | null {
  const fd = openFlag(directory, name);
  if (typeof fd !== 'number') return null;
  try {
    fs.unlinkSync(path.join(directory, name));
    return { name, force: /\bforce\b/.test(contentOf(fd)) ? 'force' : 'if changed' };
  } finally {
    fs.closeSync(fd);
  }
}

/** A descriptor of a regular file; a symlink is not followed, and a FIFO does not make it wait. */
function openFlag(directory: string, name: string): number | Exclude<FlagFile, { kind: 'file' }> {
  if (!/^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$/.test(name)) {
    return { kind: 'refused', why: 'that cannot be the name of a chroot' };
  }
  const file = path.join(directory, name);
  const stats = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { kind: 'gone' };
  if (!stats.isFile()) return { kind: 'refused', why: 'it is not a regular file' };
  try {
    const fd = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
    return { kind: 'refused', why: 'it is not a regular file' };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { kind: 'gone' };
    if (hasCode(error, 'ELOOP', 'ENXIO')) return { kind: 'refused', why: 'it is not a regular file' };
    throw error;
  }
}

function contentOf(fd: number): string {
  const data = Buffer.alloc(LONGEST);
  return data.toString('latin1', 0, fs.readSync(fd, data, 0, LONGEST, 0));
}
