import fs from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { CancelledError, hasCode, UserError } from '../../errors.ts';
import { fnmatch, fnmatchPattern, openInRoot } from '../../system/posix.ts';
import { displayPath } from '../../tree/display.ts';

/** Linux' O_PATH: a descriptor that only tells what a path is; nothing is opened for real, so nothing can hang. */
const O_PATH = 0o10000000;
const { O_RDONLY, O_WRONLY, O_TRUNC, O_NOFOLLOW, O_DIRECTORY } = fs.constants;

/**
 * The files of a tree, to be changed. Paths are relative to the tree's root, one char per byte (latin1), and lead where a
 * process chrooted there would see them: no symlink leads out. Files keep their owner, mode and time of modification and
 * directories their time, so that cleaning the same tree again gives the same image. What is not there is left alone;
 * what cannot be changed is a UserError that names it.
 */
export class Inside {
  readonly #root: number;

  constructor(root: string) {
    this.#root = fs.openSync(root, O_PATH | O_DIRECTORY);
  }

  close(): void {
    fs.closeSync(this.#root);
  }

  /** What `file` itself is, a symlink too; null when there is nothing. */
  lstat(file: string): fs.Stats | null {
    return this.#at(file, O_PATH | O_NOFOLLOW, (fd) => fs.fstatSync(fd));
  }

  /** A symlink's target; null for anything else. */
  readlink(file: string): string | null {
    return this.#inParent(file, (self) => {
      try {
        return fs.readlinkSync(self, 'latin1');
      } catch (error) {
        if (hasCode(error, 'EINVAL')) return null;
        throw error;
      }
    });
  }

  /** A regular file's content (latin1), or null. */
  read(file: string): string | null {
    return this.#regular(file, (path) => fs.readFileSync(path, 'latin1'));
  }

  /**
   * Gives a regular file other content.
   * @returns false when there is none, or it has that content already
   */
  write(file: string, content: string): boolean {
    const done = this.#regular(file, (path, stats) => {
      if (content === '' && stats.size === 0) return false;
      // one that is emptied is not read: a log may have gigabytes, and its overlay lives in memory
      if (content !== '' && fs.readFileSync(path, 'latin1') === content) return false;
      const fd = fs.openSync(path, O_WRONLY | O_TRUNC);
      try {
        fs.writeFileSync(fd, content, 'latin1');
        fs.futimesSync(fd, stats.atime, stats.mtime);
      } finally {
        fs.closeSync(fd);
      }
      return true;
    });
    return done ?? false;
  }

  /**
   * Removes files, symlinks, and directories with all they hold: a home may have a million files, so that others get
   * their turn meanwhile.
   * @returns those that were there
   * @throws CancelledError when `signal` ended it half-way
   */
  async remove(files: readonly string[], signal?: AbortSignal): Promise<string[]> {
    const turn = turns(signal);
    const removed: string[] = [];
    for (const file of files) {
      const parent = this.#inParent(file, (_, directory) => fs.openSync(directory, O_RDONLY | O_DIRECTORY));
      if (parent === null) continue;
      const directory = `/proc/self/fd/${parent}`;
      try {
        const { atime, mtime } = fs.fstatSync(parent);
        await removeTree(Buffer.from(`${directory}/${file.slice(file.lastIndexOf('/') + 1)}`, 'latin1'), turn);
        fs.futimesSync(parent, atime, mtime);
        removed.push(file);
      } catch (error) {
        if (!isNothing(error)) throw unchangeable(file, error);
      } finally {
        fs.closeSync(parent);
      }
    }
    return removed;
  }

  /** The names in a directory, sorted; none when it is no directory. */
  names(directory: string): string[] {
    const names = this.#at(directory, O_PATH, (fd) =>
      fs.fstatSync(fd).isDirectory() ? fs.readdirSync(`/proc/self/fd/${fd}`, 'latin1').sort() : [],
    );
    return names ?? [];
  }

  /** The paths that match a pattern: fnmatch(3) per part, in which `*` matches no leading dot. */
  matching(pattern: string): string[] {
    let found = [''];
    for (const part of pattern.split('/')) {
      const matcher = fnmatchPattern(part);
      found = found.flatMap((directory) => {
        if (!/[*?[]/.test(part)) return [`${directory}${part}/`];
        const names = this.names(directory).filter((name) => fnmatch(matcher, name));
        return names.map((name) => `${directory}${name}/`);
      });
    }
    return found.map((path) => path.slice(0, -1)).filter((path) => this.lstat(path) !== null);
  }

  /** All regular files below a directory, symlinks not followed. */
  filesBelow(directory: string): string[] {
    return this.names(directory).flatMap((name) => {
      const path = `${directory}/${name}`;
      const stats = this.lstat(path);
      if (stats?.isDirectory() === true) return this.filesBelow(path);
      return stats?.isFile() === true ? [path] : [];
    });
  }

  #regular<T>(file: string, work: (path: string, stats: fs.Stats) => T): T | null {
    return this.#at(file, O_PATH, (fd) => {
      const stats = fs.fstatSync(fd);
      // by this path it is the very file that was looked at
      return stats.isFile() ? work(`/proc/self/fd/${fd}`, stats) : null;
    });
  }

  #inParent<T>(file: string, work: (self: Buffer, parent: string) => T): T | null {
    const cut = file.lastIndexOf('/');
    const name = file.slice(cut + 1);
    if (name === '' || name === '.' || name === '..') throw new Error(`internal error: ${file} names no entry`);
    const directory = cut === -1 ? '' : file.slice(0, cut);
    const inDirectory = (fd: number): T => {
      const parent = `/proc/self/fd/${fd}`;
      return work(Buffer.from(`${parent}/${name}`, 'latin1'), parent);
    };
    return this.#at(directory, O_PATH | O_DIRECTORY, inDirectory, file);
  }

  #at<T>(file: string, flags: number, work: (fd: number) => T, meant = file): T | null {
    let fd: number | undefined;
    try {
      fd = openInRoot(this.#root, file === '' ? '.' : file, O_RDONLY | flags, 0, 'latin1');
      return work(fd);
    } catch (error) {
      if (isNothing(error)) return null;
      throw unchangeable(meant, error);
    } finally {
      if (fd !== undefined) fs.closeSync(fd);
    }
  }
}

function isNothing(error: unknown): boolean {
  // ELOOP: symlinks that lead to each other
  return hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP');
}

function unchangeable(file: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  // an overlay shows the attribute, but takes nobody's word for clearing it
  const why = hasCode(error, 'EPERM') ? ' (is it or something in it immutable? chattr -R -ia, in the chroot)' : '';
  return new UserError(`cannot change ${displayPath(file)}${why}`, { cause: error });
}

/** To be awaited before each small piece of work: gives way to everything else now and then. */
function turns(signal: AbortSignal | undefined): () => Promise<void> {
  let pieces = 0;
  return async () => {
    if (++pieces % 100 !== 0) return;
    await setImmediate();
    if (signal?.aborted === true) throw new CancelledError('the cleanup was stopped');
  };
}

/** @param path its parent must be given by a descriptor, so that no symlink is on the way */
async function removeTree(path: Buffer, turn: () => Promise<void>): Promise<void> {
  await turn();
  if (!fs.lstatSync(path).isDirectory()) {
    fs.unlinkSync(path);
    return;
  }
  const fd = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const here = `/proc/self/fd/${fd}`;
    for (const name of fs.readdirSync(here, 'latin1')) await removeTree(Buffer.from(`${here}/${name}`, 'latin1'), turn);
  } finally {
    fs.closeSync(fd);
  }
  try {
    fs.rmdirSync(path);
  } catch (error) {
    // a file system is mounted there, or below: it is empty now, and that is all it can be
    if (!hasCode(error, 'EBUSY', 'ENOTEMPTY')) throw error;
  }
}
