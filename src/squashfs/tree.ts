import { displayPath } from '../tree/display.ts';
import type { EntryType } from '../tree/entry.ts';
import type { ImageFile } from './image-file.ts';
import { decodeInode, type Inode, type InodeLimits, inodeFileSize, inodeNumber, inodeType } from './inode.ts';
import { type ListedName, listedNames } from './listing.ts';
import { type Metadata, readIndexedTable, readMetadata } from './metadata.ts';
import { damaged } from './squashfs-error.ts';
import { readXattrs, type XattrLists } from './xattrs.ts';

/**
 * The names of an image in the order of a walk: the root first, parents before what they hold, siblings in byte order,
 * depth first. A name is known by its index. What it takes is about 16 bytes a name beside the tables themselves; inodes
 * are decoded when they are asked for.
 */
export type ImageTree = {
  /** How many names there are, the root's included. */
  count: number;
  /** Index of the directory that the name is in; the root's is 0. */
  parent: (index: number) => number;
  /** One char per byte (latin1); '' for the root. */
  name: (index: number) => string;
  /** Relative to the root, as of src/tree. */
  path: (index: number) => string;
  /** The paths of all names, in order. */
  paths: () => Generator<string, void>;
  /** Names of one inode (hard links) have the same number here, and no others. */
  inodeNumber: (index: number) => number;
  /** @throws SquashfsError when the inode refers to what is not there */
  inode: (index: number) => Inode;
  /** Bytes of a file, without decoding the rest; null for all other types. */
  fileSize: (index: number) => number | null;
  xattrs: XattrLists;
};

/**
 * Reads the whole tree of an image and checks it; what single inodes say is checked when they are asked for.
 * @throws SquashfsError when something in it cannot be: places out of bounds, directories in a circle, names that no file
 * may have, counts that do not agree
 */
export function readTree(image: ImageFile): ImageTree {
  const { superblock } = image;
  const { inodeTable, directoryTable, inodeCount, root } = superblock;
  const inodes = readMetadata(image, inodeTable, directoryTable, tableLimit(inodeCount));
  if (inodeCount > inodes.bytes.length / SMALLEST_INODE) throw damaged('it has fewer inodes than it says');
  const listings = readMetadata(image, directoryTable, endOfDirectories(image), tableLimit(inodeCount));
  const xattrs = readXattrs(image);
  const limits: InodeLimits = { superblock, ids: readIds(image), xattrCount: xattrs.count };
  const columns = readNames(inodes, listings, limits, root);
  const { parents, nameStarts, nameLengths, inodePlaces, numbers } = columns;

  function name(index: number): string {
    const start = at(nameStarts, index);
    return listings.bytes.toString('latin1', start, start + at(nameLengths, index));
  }
  function path(index: number): string {
    let result = name(index);
    for (let up = at(parents, index); up !== 0; up = at(parents, up)) result = `${name(up)}/${result}`;
    return result;
  }
  function* paths(): Generator<string, void> {
    const open: { index: number; prefix: string }[] = [];
    let former = '';
    yield '';
    for (let index = 1; index < parents.length; index++) {
      const parent = at(parents, index);
      if (parent === index - 1) open.push({ index: parent, prefix: former === '' ? '' : `${former}/` });
      while (open.length > 1 && open.at(-1)?.index !== parent) open.pop();
      former = (open.at(-1)?.prefix ?? '') + name(index);
      yield former;
    }
  }
  return {
    count: parents.length,
    paths,
    parent: (index) => at(parents, index),
    name,
    path,
    inodeNumber: (index) => at(numbers, index),
    inode: (index) => decodeInode(inodes.bytes, at(inodePlaces, index), limits),
    fileSize: (index) => inodeFileSize(inodes.bytes, at(inodePlaces, index)),
    xattrs,
  };
}

/** Bytes of a FIFO's inode. */
const SMALLEST_INODE = 20;

/** A long name or a list of many blocks in each, and what a few huge files need. */
function tableLimit(inodeCount: number): number {
  return 64 * 1024 * 1024 + 512 * inodeCount;
}

type Columns = {
  parents: Uint32Array;
  nameStarts: Uint32Array;
  nameLengths: Uint16Array;
  inodePlaces: Uint32Array;
  numbers: Uint32Array;
};

type OpenDirectory = { index: number; names: Iterator<ListedName, void> };

function readNames(inodes: Metadata, listings: Metadata, limits: InodeLimits, root: number): Columns {
  const parents: number[] = [];
  const nameStarts: number[] = [];
  const nameLengths: number[] = [];
  const inodePlaces: number[] = [];
  const numbers: number[] = [];
  const { inodeCount } = limits.superblock;
  /** By inode number: where the inode is, plus 1. */
  const places = new Float64Array(inodeCount + 1);
  let seen = 0;
  /** Bytes of directories that are left: none is read twice, so there are no more than the table has. */
  let left = listings.bytes.length;
  const stack: OpenDirectory[] = [];

  /** Of inodes only directories are decoded here: the others are when they are asked for. */
  function add(parent: number, start: number, length: number, place: number): { type: EntryType; number: number } {
    const type = inodeType(inodes.bytes, place);
    const number = inodeNumber(inodes.bytes, place, limits.superblock);
    const before = places[number];
    if (before === 0) {
      places[number] = place + 1;
      seen++;
    } else if (before !== place + 1) throw damaged('two inodes have one number');
    else if (type === 'directory') throw damaged('a directory is in two places');
    const index = parents.push(parent) - 1;
    nameStarts.push(start);
    nameLengths.push(length);
    inodePlaces.push(place);
    numbers.push(number);
    if (type === 'directory') {
      const inode = decodeInode(inodes.bytes, place, limits);
      if (inode.type === 'directory') enter(index, inode.listing);
    }
    return { type, number };
  }

  function enter(
    index: number,
    { blockStart, offset, size }: { blockStart: number; offset: number; size: number },
  ): void {
    if (size === 0) return;
    left -= size;
    if (left < 0) throw damaged('its directories have more names than there are');
    const start = listings.locate(blockStart, offset);
    stack.push({ index, names: listedNames(listings.bytes, start, start + size) });
  }

  const rootInode = add(0, 0, 0, inodes.locate(Math.floor(root / 65_536), root % 65_536));
  if (rootInode.type !== 'directory') throw damaged('its root is no directory');
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const next = top.names.next();
    if (next.done === true) {
      stack.pop();
      continue;
    }
    const { start, length, inodeBlock, inodeOffset, type, number } = next.value;
    const inode = add(top.index, start, length, inodes.locate(inodeBlock, inodeOffset));
    if (inode.type !== type || inode.number !== number) {
      const name = displayPath(listings.bytes.toString('latin1', start, start + length));
      throw damaged(`a directory and the inode of ${name} do not agree`);
    }
  }
  if (seen !== inodeCount) throw damaged(`it has ${seen} inodes and should have ${inodeCount}`);
  return {
    parents: Uint32Array.from(parents),
    nameStarts: Uint32Array.from(nameStarts),
    nameLengths: Uint16Array.from(nameLengths),
    inodePlaces: Uint32Array.from(inodePlaces),
    numbers: Uint32Array.from(numbers),
  };
}

function readIds(image: ImageFile): Uint32Array {
  const { idTable, idCount } = image.superblock;
  const bytes = readIndexedTable(image, idTable, 4 * idCount);
  return Uint32Array.from({ length: idCount }, (_, i) => bytes.readUInt32LE(4 * i));
}

/** The directory table ends where the blocks of the next table begin, which that table's index says. */
function endOfDirectories(image: ImageFile): number {
  const { fragmentTable, fragmentCount, exportTable, idTable, directoryTable } = image.superblock;
  const index = fragmentTable !== null && fragmentCount > 0 ? fragmentTable : (exportTable ?? idTable);
  const end = Number(image.read(index, 8).readBigUInt64LE(0));
  if (end < directoryTable || end > index) throw damaged('its tables are not where they can be');
  return end;
}

/** Indexes come from the caller, who counts to `count`. */
function at(column: Uint32Array | Uint16Array, index: number): number {
  const value = column[index];
  if (value === undefined) throw new RangeError(`internal error: there is no name ${index} in the image`);
  return value;
}
