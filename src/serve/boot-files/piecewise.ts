import fs from 'node:fs';
import path from 'node:path';
import {
  entriesBelow,
  giveLike,
  makeLike,
  removeIfEmpty,
  statsOf,
  syncTree,
  type TreeEntry,
} from './directory-tree.ts';
import { MANIFEST } from './layout.ts';
import { removePassing, replaceByLink } from './replace.ts';

/**
 * The way for file systems that cannot exchange two directories: `target` gets what `source` has, file by file, each
 * with one rename. Files come first and links last, so that a link never leads to what is not there yet; what only
 * `target` has goes at the end. The manifest is the very last. May be repeated after a crash.
 * @param removable paths that go from `target` when `source` lacks them; others are somebody's own
 */
export function applyPiecewise(source: string, target: string, removable: Iterable<string>): void {
  const wanted = entriesBelow(source);
  const links = wanted.filter(({ stats }) => stats.isSymbolicLink());
  const files = wanted.filter(({ stats }) => !stats.isDirectory() && !stats.isSymbolicLink());
  for (const { path: directory, stats } of wanted.filter((entry) => entry.stats.isDirectory())) {
    clearWay(target, directory, stats);
    makeLike(source, target, directory);
    // a crash may have come between making it and this
    giveLike(stats, path.join(target, directory));
    removePassing(path.join(target, directory));
  }
  removePassing(target);
  for (const { path: file, stats } of [...files, ...links]) {
    if (file === MANIFEST) continue;
    clearWay(target, file, stats);
    replaceByLink(path.join(source, file), path.join(target, file));
  }
  // nothing may go before that which takes its place is durable
  syncTree(target);
  removeOthers(target, wanted, removable);
  if (wanted.some((entry) => entry.path === MANIFEST)) {
    replaceByLink(path.join(source, MANIFEST), path.join(target, MANIFEST));
  } else fs.rmSync(path.join(target, MANIFEST), { force: true });
  syncTree(target);
}

/** All that `directory` has once more, in hard links, at `to`: whole or not there. */
export function saveByLinks(directory: string, to: string): void {
  const partial = `${to}.partial`;
  fs.mkdirSync(partial, 0o700);
  giveLike(fs.statSync(directory), partial);
  for (const { path: file, stats } of entriesBelow(directory)) {
    makeLike(directory, partial, stats.isDirectory() ? file : path.dirname(file));
    if (!stats.isDirectory()) replaceByLink(path.join(directory, file), path.join(partial, file));
  }
  syncTree(partial);
  fs.renameSync(partial, to);
}

/** A directory where a file is to be, or the other way round, cannot be replaced by a rename. */
function clearWay(target: string, file: string, wanted: fs.Stats): void {
  const there = statsOf(path.join(target, file));
  if (there === undefined || there.isDirectory() === wanted.isDirectory()) return;
  fs.rmSync(path.join(target, file), { recursive: true });
}

function removeOthers(target: string, wanted: readonly TreeEntry[], removable: Iterable<string>): void {
  const staying = new Set(wanted.map((entry) => entry.path));
  const going = [...removable].filter((file) => file !== MANIFEST && !staying.has(file));
  // what is in a directory before the directory
  for (const file of going.sort().reverse()) {
    const full = path.join(target, file);
    const stats = statsOf(full);
    if (stats?.isDirectory() === true) {
      removePassing(full);
      removeIfEmpty(full);
    } else if (stats !== undefined) fs.unlinkSync(full);
  }
}
