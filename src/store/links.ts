import fs from 'node:fs';
import { hasCode, messageOf, UserError } from '../errors.ts';
import { imageFile, imageOf, oldFile, type StorePaths } from './layout.ts';
import { imageIds } from './records.ts';

/** What NAME.img or NAME.img.old is. `foreign`: a file that another program put there. */
export type LinkTarget =
  | { kind: 'absent' }
  | { kind: 'generation'; id: string }
  /** `size` in bytes. */
  | { kind: 'foreign'; ino: bigint; size: number };

export type LinkTargets = { current: LinkTarget; previous: LinkTarget };

/**
 * Which generations NAME.img (current) and NAME.img.old (previous) are: those of the same inode.
 * @throws UserError when one of them is no regular file
 */
export function readLinks(paths: StorePaths, name: string): LinkTargets {
  const ids = new Map<string, string>();
  for (const id of imageIds(paths, name)) {
    const stats = statOf(imageOf(paths, name, id));
    if (stats !== undefined) ids.set(inodeOf(stats), id);
  }
  const targetOf = (file: string): LinkTarget => {
    const stats = statOf(file);
    if (stats === undefined) return { kind: 'absent' };
    if (!stats.isFile()) throw notAnImage(file, stats);
    const id = ids.get(inodeOf(stats));
    return id === undefined
      ? { kind: 'foreign', ino: stats.ino, size: Number(stats.size) }
      : { kind: 'generation', id };
  };
  return { current: targetOf(imageFile(paths, name)), previous: targetOf(oldFile(paths, name)) };
}

/** The error of a link(2) or rename(2), for the person who reads it. @param what for example `switch amd64` */
export function linkError(what: string, paths: StorePaths, error: unknown): UserError {
  const why = hasCode(error, 'EXDEV')
    ? `${paths.images}/.generations must be on the file system of ${paths.images}, since both hold names of the same files`
    : messageOf(error);
  return new UserError(`cannot ${what}: ${why}`, { cause: error });
}

function statOf(file: string): fs.BigIntStats | undefined {
  return fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
}

function inodeOf({ dev, ino }: fs.BigIntStats): string {
  return `${dev}:${ino}`;
}

function notAnImage(file: string, stats: fs.BigIntStats): UserError {
  const what = stats.isSymbolicLink() ? 'a symbolic link' : stats.isDirectory() ? 'a directory' : 'not a regular file';
  return new UserError(`cannot use ${file}: it is ${what} (put the image file itself there, or remove it)`);
}
