import type { Entry } from '../../src/tree/entry.ts';

/** Nanoseconds: 2026-01-31, 04:30 UTC. */
export const THEN = 1_769_833_800_000_000_000n;

let inodes = 100n;

/** An entry as a walk makes it, a plain file unless said otherwise. */
export function entry(path: string, other: Partial<Entry> = {}): Entry {
  inodes += 1n;
  return {
    path,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: other.type === undefined || other.type === 'file' ? 10 : 0,
    mtime: THEN,
    ctime: THEN,
    dev: 1n,
    ino: inodes,
    nlink: 1,
    rdev: 0,
    target: '',
    ignored: false,
    ...other,
  };
}
