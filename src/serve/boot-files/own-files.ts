import fs from 'node:fs';
import path from 'node:path';
import { isRegenerated } from './boot.ts';
import { entriesBelow, makeLike, statsOf, type TreeEntry } from './directory-tree.ts';
import { belongsTo } from './kernels.ts';
import { type Layout, MANIFEST } from './layout.ts';
import { replaceByLink, replaceLink } from './replace.ts';

/** Which files of a directory are the admin's own, and to be had in another one as well. */
export type Carry = {
  /** Paths that are from an image in the directory they come from. */
  ours: ReadonlySet<string>;
  /** Paths that are from an image in the directory they go to: there the image's files win. */
  taken: ReadonlySet<string>;
  /** What the admin's file at each path was when it was carried before (inode): only what has changed since goes. */
  known?: ReadonlyMap<string, number>;
  /** Versions that have modules in the image; kernels of others are not carried. Null: all are. */
  modules: readonly string[] | null;
};

/** Inode by path of what is the admin's own, and the paths that were not carried. */
export type Carried = { inodes: Map<string, number>; dropped: string[] };

/**
 * Gives the admin's own files in `from` the same place in `to`, by hard links: an editor that writes into the file writes
 * into both. Takes nothing away from `to`.
 */
export function carryOwnFiles(from: string, to: string, { ours, taken, known, modules }: Carry): Carried {
  const inodes = new Map<string, number>();
  const dropped: string[] = [];
  const all = entriesBelow(from);
  const stale = staleVersions(all, modules);
  for (const { path: file, stats } of all) {
    if (file === MANIFEST || ours.has(file)) continue;
    const [top = ''] = file.split('/', 1);
    if (stale.some((version) => belongsTo(top, version)) || !hasRoom(to, file, stats)) {
      dropped.push(file);
      continue;
    }
    inodes.set(file, stats.ino);
    if (taken.has(file) || known?.get(file) === stats.ino) continue;
    makeLike(from, to, stats.isDirectory() ? file : path.dirname(file));
    if (!stats.isDirectory()) replaceByLink(path.join(from, file), path.join(to, file));
  }
  const dangling = [...inodes.keys()].filter((file) => isDanglingBootLink(to, file));
  for (const file of dangling) fs.unlinkSync(path.join(to, file));
  return { inodes, dropped: [...dropped, ...dangling] };
}

/** Makes the links that yield to a file of the admin, where there is none that is to stay. */
export function makeYieldingLinks(directory: string, { yieldingLinks }: Pick<Layout, 'yieldingLinks'>): void {
  for (const { path: link, target } of yieldingLinks) {
    const file = path.join(directory, link);
    const stats = statsOf(file);
    if (stats === undefined || (stats.isFile() && isRegenerated(fs.readFileSync(file, 'utf8')))) {
      replaceLink(file, target);
    }
  }
}

/** Versions of kernels that are there, by their names, without modules in the image. */
function staleVersions(entries: readonly TreeEntry[], modules: readonly string[] | null): string[] {
  if (modules === null) return [];
  const versions = entries.flatMap(({ path: name }) => {
    // one that does not begin with a digit may be any file that the admin calls so
    const found = /^(?:vmlinu[xz]|initrd\.img|initramfs)-(\d[^/]*?)(?:\.img)?$/.exec(name)?.[1];
    return found === undefined || modules.includes(found) ? [] : [found];
  });
  return [...new Set(versions)];
}

/** False where a file of the image stands in the way of a directory, or the other way round. */
function hasRoom(to: string, file: string, stats: fs.Stats): boolean {
  for (let above = path.dirname(file); above !== '.'; above = path.dirname(above)) {
    const there = statsOf(path.join(to, above));
    if (there !== undefined && !there.isDirectory()) return false;
  }
  const there = statsOf(path.join(to, file));
  return there === undefined || there.isDirectory() === stats.isDirectory();
}

/** A link as LTSP makes them, to a kernel that is gone. */
function isDanglingBootLink(directory: string, file: string): boolean {
  if (!/^(?:(?:vmlinu[xz]|initrd|initramfs)[^/]*|pxelinux\.cfg\/default)$/.test(file)) return false;
  const full = path.join(directory, file);
  return statsOf(full)?.isSymbolicLink() === true && !fs.existsSync(full);
}
