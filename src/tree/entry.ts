/** Types as squashfs and the kernel have them. */
export type EntryType = 'file' | 'directory' | 'symlink' | 'block' | 'char' | 'fifo' | 'socket';

/**
 * What lstat(2) says of one path of a tree. Paths and link targets hold one char per byte (latin1), since names are bytes
 * but `/` and NUL; so strings compare in byte order. `displayPath` makes them readable.
 */
export type Entry = {
  /** Relative to the tree's root, without leading slash; '' is the root itself. */
  path: string;
  type: EntryType;
  /** Permission bits with setuid, setgid and sticky (0o7777). */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of a file or of a link's target; 0 for all others. */
  size: number;
  /** Nanoseconds since the epoch. */
  mtime: bigint;
  ctime: bigint;
  dev: bigint;
  ino: bigint;
  nlink: number;
  /** Device number of a block or char device, else 0. */
  rdev: number;
  /** A symlink's target, else ''. */
  target: string;
  /** It changes by itself (watch.ignore): part of the image, but not of the digest. */
  ignored: boolean;
};

/** True when its times say whether what is in it changed: a directory's, a device's or a FIFO's say that it was used. */
export function hasContent({ type }: Entry): boolean {
  return type === 'file' || type === 'symlink';
}
