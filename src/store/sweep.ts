import fs from 'node:fs';
import path from 'node:path';
import { hasCode } from '../errors.ts';
import { removeDurably, TEMPORARY_NAME } from '../system/durable.ts';
import { generationDirectory, historyDirectory, initrdDirectory, journalDirectory, type StorePaths } from './layout.ts';

/**
 * Removes what a crash left of our own: temporary names, and files of generations that have no image. Only while nobody
 * builds or switches, and when no journal tells of a job that is still to be undone.
 * @returns the paths that were removed
 */
export function sweep(paths: StorePaths): string[] {
  const names = list(path.join(paths.images, '.generations'));
  const directories = names.map((name) => generationDirectory(paths, name));
  const state = [
    paths.state,
    path.join(paths.state, 'chroots'),
    historyDirectory(paths),
    journalDirectory(paths),
    initrdDirectory(paths),
  ];
  const temporary = [paths.images, ...directories, ...state].flatMap((directory) =>
    list(directory)
      .filter((name) => TEMPORARY_NAME.test(name))
      .map((name) => path.join(directory, name)),
  );
  const left = [...temporary, ...directories.flatMap(filesWithoutImage)];
  for (const file of left) removeDurably(file, 'sweep');
  return left;
}

/** `ID.json`, `ID.partial` and their like, of ids without `ID.img`. */
function filesWithoutImage(directory: string): string[] {
  const files = list(directory);
  const idOf = (file: string): string | undefined => /^(\d{8}T\d{6}Z)\./.exec(file)?.[1];
  const whole = new Set(files.filter((file) => file.endsWith('.img')).map(idOf));
  return files
    .filter((file) => idOf(file) !== undefined && !whole.has(idOf(file)))
    .map((file) => path.join(directory, file));
}

function list(directory: string): string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
