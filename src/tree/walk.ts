import fs, { type BigIntStats } from 'node:fs';
import { hasCode, UserError } from '../errors.ts';
import { displayPath } from './display.ts';
import type { Entry, EntryType } from './entry.ts';
import type { Excluder, Verdict } from './excludes.ts';

export type WalkOptions = {
  exclude: Excluder;
  /** Entries that it leaves out are in the result, marked as ignored. */
  ignore: Excluder;
  /** Directories (relative, latin1) that are in the result without what they hold. */
  skipContents?: ReadonlySet<string>;
  /** Takes what cannot be read; without it that ends the walk with an error. */
  onUnreadable?: (path: string, error: unknown) => void;
};

/**
 * What lstat(2) says of each path of a tree: parents first, siblings in byte order, depth first. No symlink is followed
 * (but `root` itself may be one). What vanishes meanwhile is left out.
 * @throws UserError when the root is no directory, or something in it cannot be read
 */
export function walk(root: string, options: WalkOptions): Entry[] {
  const { exclude, ignore, skipContents, onUnreadable } = options;
  const entries: Entry[] = [];
  const stack: Directory[] = [];

  function enter(directory: Omit<Directory, 'names' | 'next' | 'fd'>): void {
    let opened: Place = { prefix: directory.prefix, fd: null };
    try {
      opened = shorten(directory.prefix);
      const names = fs.readdirSync(pathOf(opened.prefix), 'latin1').sort();
      stack.push({ ...directory, ...opened, names, next: 0 });
    } catch (error) {
      leave(opened);
      // it vanished after all, or became something else
      if (directory.path !== '' && hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) entries.pop();
      else unreadable(directory.path.slice(0, -1), error);
    }
  }

  function unreadable(path: string, error: unknown): void {
    if (onUnreadable === undefined) {
      const where = path === '' ? '' : `${displayPath(path)} in `;
      throw new UserError(`cannot read ${where}${root}`, { cause: error });
    }
    onUnreadable(path, error);
  }

  try {
    entries.push(rootEntry(root));
    const prefix = Buffer.from(root.endsWith('/') ? root : `${root}/`, 'utf8').toString('latin1');
    enter({ prefix, path: '', exclude, ignore });
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const name = top.names[top.next++];
      if (name === undefined) {
        leave(top);
        stack.pop();
        continue;
      }
      const excluded = top.exclude.descend(name);
      if (excluded.excluded) continue;
      const ignored: Verdict = top.ignore === null ? { excluded: true } : top.ignore.descend(name);
      const path = top.path + name;
      try {
        const entry = entryAt(top.prefix + name, path, ignored.excluded);
        if (entry === undefined) continue;
        entries.push(entry);
        if (entry.type !== 'directory' || skipContents?.has(path) === true) continue;
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) unreadable(path, error);
        continue;
      }
      enter({
        prefix: `${top.prefix}${name}/`,
        path: `${path}/`,
        exclude: excluded.below,
        ignore: ignored.excluded ? null : ignored.below,
      });
    }
  } finally {
    for (const directory of stack) leave(directory);
  }
  return entries;
}

/** How a directory is reached: what its names are appended to (latin1), and a descriptor to close after it. */
type Place = { prefix: string; fd: number | null };

type Directory = Place & {
  /** Relative to the root; '' or with a slash at the end. */
  path: string;
  exclude: Excluder;
  /** null: all in it is ignored */
  ignore: Excluder | null;
  names: readonly string[];
  next: number;
};

/** The kernel takes paths of less than 4096 bytes; a name has up to 255. */
const LONG = 3_500;

/** A directory whose path becomes too long for the kernel is reached by a descriptor instead. */
function shorten(prefix: string): Place {
  if (prefix.length <= LONG) return { prefix, fd: null };
  const flags = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW;
  const fd = fs.openSync(pathOf(prefix.slice(0, -1)), flags);
  return { prefix: `/proc/self/fd/${fd}/`, fd };
}

function leave({ fd }: Place): void {
  if (fd !== null) fs.closeSync(fd);
}

/** Node encodes strings as UTF-8, so that only plain ones may go to it as they are; buffers are slower. */
function pathOf(bytes: string): string | Buffer {
  return /^[\x01-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}

function rootEntry(root: string): Entry {
  const stats = fs.statSync(root, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) throw new UserError(`cannot read ${root}: it does not exist`);
  if (!stats.isDirectory()) throw new UserError(`cannot read ${root}: it is not a directory`);
  return entryOf(stats, '', '', false);
}

function entryAt(place: string, path: string, ignored: boolean): Entry | undefined {
  const file = pathOf(place);
  const stats = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const target = stats.isSymbolicLink() ? fs.readlinkSync(file, 'latin1') : '';
  return entryOf(stats, path, target, ignored);
}

function entryOf(stats: BigIntStats, path: string, target: string, ignored: boolean): Entry {
  const mode = Number(stats.mode);
  const type = typeOf(mode);
  return {
    path,
    type,
    mode: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: type === 'file' ? Number(stats.size) : target.length,
    mtime: stats.mtimeNs,
    ctime: stats.ctimeNs,
    dev: stats.dev,
    ino: stats.ino,
    nlink: Number(stats.nlink),
    rdev: type === 'block' || type === 'char' ? Number(stats.rdev) : 0,
    target,
    ignored,
  };
}

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFBLK, S_IFCHR, S_IFIFO } = fs.constants;

function typeOf(mode: number): EntryType {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFBLK:
      return 'block';
    case S_IFCHR:
      return 'char';
    case S_IFIFO:
      return 'fifo';
    default:
      return 'socket';
  }
}
