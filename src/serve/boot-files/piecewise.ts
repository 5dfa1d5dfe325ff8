import fs from 'node:fs';
import path from 'node:path';
import { fault } from '../../system/faults.ts';
import { entriesBelow, giveLike, makeLike, removeIfEmpty, statsOf, syncTree } from './directory-tree.ts';
import { MANIFEST } from './layout.ts';
import { removePassing, replaceByLink } from './replace.ts';

/**
 * The way for file systems that cannot exchange two directories: `target` gets what `source` has, file by file, each
 * with one rename. Files come first and links last, so that a link never leads to what is not there yet; what is
 * removable goes at the end. The manifest is the very last. May be repeated after a crash.
 * @param removable paths that go from `target` when `source` lacks them; others stay
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
  const staying = new Set([MANIFEST, ...wanted.map((entry) => entry.path)]);
  removePaths(
    target,
    [...removable].filter((file) => !staying.has(file)),
  );
  if (wanted.some((entry) => entry.path === MANIFEST)) {
    replaceByLink(path.join(source, MANIFEST), path.join(target, MANIFEST));
  } else fs.rmSync(path.join(target, MANIFEST), { force: true });
  syncTree(target);
}

/** All that `directory` has once more, in hard links, at `to`: whole or not there. */
export function saveByLinks(directory: string, to: string): void {
  const partial = `${to}.partial`;
  fault('boot.save');
  fs.mkdirSync(partial, 0o700);
  giveLike(fs.statSync(directory), partial);
  for (const { path: file, stats } of entriesBelow(directory)) {
    makeLike(directory, partial, stats.isDirectory() ? file : path.dirname(file));
    if (!stats.isDirectory()) replaceByLink(path.join(directory, file), path.join(partial, file));
  }
  syncTree(partial);
  fault('boot.save-rename');
  fs.renameSync(partial, to);
}

/** Paths that `directory` has and `other` lacks, the manifest aside. */
export function onlyIn(directory: string, other: string): string[] {
  const there = new Set(entriesBelow(other).map((entry) => entry.path));
  return entriesBelow(directory).flatMap(({ path: file }) => (file === MANIFEST || there.has(file) ? [] : [file]));
}

/** Paths that are in `directory` as they were when `saved` was made of it; what someone has replaced since is not. */
export function unchangedSince(saved: string, directory: string): Set<string> {
  const unchanged = entriesBelow(saved).filter(({ path: file }) =>
    isSame(path.join(saved, file), path.join(directory, file)),
  );
  return new Set(unchanged.map((entry) => entry.path));
}

/** Removes these paths from `target`, directories only when nothing is left in them. May be repeated after a crash. */
export function removePaths(target: string, paths: Iterable<string>): void {
  // what is in a directory before the directory
  for (const file of [...paths].sort().reverse()) {
    const full = path.join(target, file);
    const stats = statsOf(full);
    if (stats?.isDirectory() === true) {
      removePassing(full);
      removeIfEmpty(full);
    } else if (stats !== undefined) fs.unlinkSync(full);
  }
}

/** Hard links to one file, or a file and its copy, which has its time in whole milliseconds. */
function isSame(one: string, other: string): boolean {
  const [a, b] = [statsOf(one), statsOf(other)];
  if (a === undefined || b === undefined) return false;
  if (a.isDirectory() || b.isDirectory()) return a.isDirectory() && b.isDirectory();
  if (a.dev === b.dev && a.ino === b.ino) return true;
  if (a.isSymbolicLink() && b.isSymbolicLink()) return fs.readlinkSync(one) === fs.readlinkSync(other);
  return a.isFile() && b.isFile() && a.size === b.size && Math.abs(a.mtimeMs - b.mtimeMs) <= 1;
}

/** A directory where a file is to be, or the other way round, cannot be replaced by a rename. */
function clearWay(target: string, file: string, wanted: fs.Stats): void {
  const there = statsOf(path.join(target, file));
  if (there === undefined || there.isDirectory() === wanted.isDirectory()) return;
  fs.rmSync(path.join(target, file), { recursive: true });
}
