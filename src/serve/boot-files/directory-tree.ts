import fs from 'node:fs';
import path from 'node:path';
import { hasCode } from '../../errors.ts';
import { syncDirectory } from '../../system/durable.ts';
import { fault } from '../../system/faults.ts';
import { PASSING_NAME } from './replace.ts';

/** What stands in a directory and below it; `path` is relative to it. */
export type TreeEntry = { path: string; stats: fs.Stats };

/** All entries, links not followed, a directory before what is in it, else by name. */
export function entriesBelow(directory: string, below = ''): TreeEntry[] {
  return fs
    .readdirSync(path.join(directory, below))
    .filter((name) => !PASSING_NAME.test(name))
    .sort()
    .flatMap((name): TreeEntry[] => {
      const relative = path.join(below, name);
      const stats = statsOf(path.join(directory, relative));
      // its owner may have removed it meanwhile
      if (stats === undefined) return [];
      const entry = { path: relative, stats };
      return stats.isDirectory() ? [entry, ...entriesBelow(directory, relative)] : [entry];
    });
}

/** What a path is, a link not followed; undefined when there is nothing, also for a path below a file. */
export function statsOf(file: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(file);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Makes the directory `relative` below `to`, and what is missing above it, like those below `from`. */
export function makeLike(from: string, to: string, relative: string): void {
  const made = path.join(to, relative);
  if (relative === '.' || statsOf(made)?.isDirectory() === true) return;
  makeLike(from, to, path.dirname(relative));
  fs.mkdirSync(made, 0o700);
  giveLike(fs.lstatSync(path.join(from, relative)), made);
}

/** Gives a directory the owner and mode of another. */
export function giveLike(stats: fs.Stats, directory: string): void {
  fs.chownSync(directory, stats.uid, stats.gid);
  fs.chmodSync(directory, stats.mode & 0o7777);
}

/** fsync(2) of a directory and all below it. */
export function syncTree(directory: string): void {
  fault('boot.sync-tree');
  for (const { path: relative, stats } of entriesBelow(directory)) {
    if (stats.isDirectory()) syncDirectory(path.join(directory, relative));
  }
  syncDirectory(directory);
}

/** Removes a directory that is empty; true when there is none any more. */
export function removeIfEmpty(directory: string): boolean {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY')) return false;
    if (hasCode(error, 'ENOENT')) return true;
    throw error;
  }
}
