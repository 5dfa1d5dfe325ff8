import { displayEntry } from '../tree/display.ts';
import type { Entry } from '../tree/entry.ts';
import { LONGEST_NAME } from './listing.ts';
import { overLimit } from './squashfs-error.ts';

/** How the entries of a walk hang together, in columns by entry index. */
export type Shape = {
  /** Index of the directory that an entry is in; 0 for the root. */
  parents: Uint32Array;
  /** Index of a directory's first name and of the next name of the same directory; 0 for none. */
  firstChildren: Uint32Array;
  nextSiblings: Uint32Array;
  /** Index of the entry whose inode it shares (hard links): its own for the first or only name. */
  inodes: Uint32Array;
  /** Names of an inode; for a directory 2 and its subdirectories. Only at the inode's first name. */
  linkCounts: Uint32Array;
  /** From 1 on, in the order of the entries; hard links have that of the first name. */
  numbers: Uint32Array;
  inodeCount: number;
};

/**
 * @param entries as of src/tree's walk: the root first, parents before what they hold, siblings in byte order, depth first
 * @throws SquashfsError for a name that is too long
 */
export function shapeOf(entries: readonly Entry[]): Shape {
  const parents = parentsOf(entries);
  const { inodes, linkCounts } = linksOf(entries);
  const firstChildren = new Uint32Array(entries.length);
  const nextSiblings = new Uint32Array(entries.length);
  // backwards, so that each list is in order
  for (let index = entries.length - 1; index > 0; index--) {
    const parent = cell(parents, index);
    nextSiblings[index] = cell(firstChildren, parent);
    firstChildren[parent] = index;
    if (entries[index]?.type === 'directory') linkCounts[parent] = cell(linkCounts, parent) + 1;
  }
  const numbers = new Uint32Array(entries.length);
  let inodeCount = 0;
  for (let index = 0; index < entries.length; index++) {
    const inode = cell(inodes, index);
    numbers[index] = inode === index ? ++inodeCount : cell(numbers, inode);
  }
  return { parents, firstChildren, nextSiblings, inodes, linkCounts, numbers, inodeCount };
}

/** An element whose index is known to be good. */
export function cell(column: Uint32Array | Float64Array, index: number): number {
  const value = column[index];
  if (value === undefined) throw new RangeError(`internal error: there is no entry ${index}`);
  return value;
}

/** The last part of an entry's path. */
export function nameOf({ path }: Entry): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function parentsOf(entries: readonly Entry[]): Uint32Array {
  const parents = new Uint32Array(entries.length);
  /** Directories that are entered, by depth. */
  const open: { index: number; prefix: string; last: string }[] = [];
  for (const [index, entry] of entries.entries()) {
    const { path, type } = entry;
    if (index === 0) {
      if (path !== '' || type !== 'directory') throw new Error('internal error: a walk begins with its root directory');
      open.push({ index, prefix: '', last: '' });
      continue;
    }
    const parentLength = path.lastIndexOf('/') + 1;
    while ((open.at(-1)?.prefix.length ?? 0) > parentLength) open.pop();
    const top = open.at(-1);
    const name = path.slice(parentLength);
    if (top === undefined || top.prefix.length !== parentLength || !path.startsWith(top.prefix) || name <= top.last) {
      throw new Error(`internal error: ${displayEntry(path)} stands where no walk has it`);
    }
    if (name.length > LONGEST_NAME) throw overLimit(`the name of ${displayEntry(path)} is longer than ${LONGEST_NAME}`);
    top.last = name;
    parents[index] = top.index;
    if (type === 'directory') open.push({ index, prefix: `${path}/`, last: '' });
  }
  return parents;
}

function linksOf(entries: readonly Entry[]): Pick<Shape, 'inodes' | 'linkCounts'> {
  const inodes = new Uint32Array(entries.length);
  const linkCounts = new Uint32Array(entries.length);
  const firsts = new Map<string, number>();
  for (const [index, { type, nlink, dev, ino }] of entries.entries()) {
    inodes[index] = index;
    if (type === 'directory') {
      linkCounts[index] = 2;
      continue;
    }
    if (nlink > 1) {
      const key = `${dev} ${ino}`;
      const first = firsts.get(key) ?? index;
      if (first === index) firsts.set(key, index);
      inodes[index] = first;
    }
    const inode = cell(inodes, index);
    linkCounts[inode] = cell(linkCounts, inode) + 1;
  }
  return { inodes, linkCounts };
}
