import type { Packer } from '../system/compressors.ts';
import { displayEntry } from '../tree/display.ts';
import type { Entry } from '../tree/entry.ts';
import { createByteBuilder } from './byte-builder.ts';
import {
  directoryInodeSize,
  encodeDirectory,
  encodeInode,
  type HeadToWrite,
  type InodeToWrite,
} from './encode-inode.ts';
import { METADATA_SIZE } from './image-file.ts';
import type { ImageOutput } from './image-output.ts';
import type { FileData } from './inode.ts';
import { packMetadata, placeIn } from './pack-metadata.ts';
import { cell, nameOf, type Shape } from './shape.ts';
import { overLimit } from './squashfs-error.ts';
import { type NameToList, type WrittenListing, writeListing } from './write-listing.ts';

/** What the inode and directory tables are made from, by entry index. */
export type TreeToWrite = {
  entries: readonly Entry[];
  shape: Shape;
  /** Asked once for each file's inode, in order. */
  fileData: (index: number) => FileData;
  idIndex: (id: number) => number;
  /** Asked once for each inode. */
  xattrIndex: (index: number) => number | null;
};

export type WrittenTree = {
  inodeTable: number;
  directoryTable: number;
  /** Of the root's inode, as the superblock has it. */
  root: number;
  /** For each inode number, from 1 on: where its inode is. */
  references: Float64Array;
};

/**
 * Writes the inode table and the directory table. Inodes of directories tell where their listings are, and listings tell
 * where inodes are: so all other inodes come first, packed, and behind them those of directories, in blocks that are
 * stored as they are, which makes their places known before their content. Children come before their parents.
 */
export async function writeTree(output: ImageOutput, tree: TreeToWrite, packer: Packer | null): Promise<WrittenTree> {
  const { entries, shape } = tree;
  const heads = headWriter(tree);
  /** Where in the inode table, before it is packed; by the index of the inode's first entry. */
  const places = new Float64Array(entries.length);
  const inodes = createByteBuilder();
  for (const [index, entry] of entries.entries()) {
    if (entry.type === 'directory' || cell(shape.inodes, index) !== index) continue;
    places[index] = encodeInode(inodes, heads(entry, index), inodeToWrite(tree, entry, index));
  }
  const wholeBlocks = Math.floor(inodes.length() / METADATA_SIZE) * METADATA_SIZE;
  const packedInodes = await packMetadata(inodes.bytes().subarray(0, wholeBlocks), packer);
  const startOf = blockStarts(packedInodes.starts, packedInodes.length);

  const listings = createByteBuilder();
  const directories: { index: number; head: HeadToWrite; listing: WrittenListing }[] = [];
  let end = inodes.length();
  // all that is below a directory comes behind it
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index];
    if (entry?.type !== 'directory') continue;
    const listing = writeListing(listings, namesIn(tree, index, places, startOf));
    const head = heads(entry, index);
    directories.push({ index, head, listing });
    places[index] = end;
    end += directoryInodeSize(head, { listing, index: listing.index });
  }
  const packedListings = await packMetadata(listings.bytes(), packer);
  // an empty listing at the table's end may be where no block is
  const listingPlace = (at: number): { blockStart: number; offset: number } =>
    at === listings.length() ? { blockStart: 0, offset: 0 } : placeIn(packedListings.starts, at);
  for (const { index, head, listing } of directories) {
    const parent = index === 0 ? shape.inodeCount + 1 : cell(shape.numbers, cell(shape.parents, index));
    encodeDirectory(inodes, head, {
      listing: { ...listingPlace(listing.at), size: listing.size },
      parent,
      index: listing.index.map(({ at, name }) => ({
        offset: at - listing.at,
        blockStart: placeIn(packedListings.starts, at).blockStart,
        name,
      })),
    });
  }
  if (inodes.length() !== end) throw new Error('internal error: inodes of directories are not where they should be');
  const rawInodes = await packMetadata(inodes.bytes().subarray(wholeBlocks), null);

  const inodeTable = output.position();
  for (const block of [...packedInodes.blocks, ...rawInodes.blocks]) output.append(block);
  const directoryTable = output.position();
  for (const block of packedListings.blocks) output.append(block);
  return {
    inodeTable,
    directoryTable,
    root: referenceOf(cell(places, 0), startOf),
    references: references(shape, places, startOf),
  };
}

/** Bytes of a metadata block stored as it is, with its header. */
const RAW_BLOCK = METADATA_SIZE + 2;

type BlockStart = (at: number) => number;

function blockStarts(packed: readonly number[], packedLength: number): BlockStart {
  return (at) => {
    const block = Math.floor(at / METADATA_SIZE);
    return packed[block] ?? packedLength + (block - packed.length) * RAW_BLOCK;
  };
}

function referenceOf(at: number, startOf: BlockStart): number {
  return startOf(at) * 65_536 + (at % METADATA_SIZE);
}

function references(shape: Shape, places: Float64Array, startOf: BlockStart): Float64Array {
  const result = new Float64Array(shape.inodeCount);
  for (let index = 0; index < places.length; index++) {
    if (cell(shape.inodes, index) !== index) continue;
    result[cell(shape.numbers, index) - 1] = referenceOf(cell(places, index), startOf);
  }
  return result;
}

function* namesIn(
  tree: TreeToWrite,
  directory: number,
  places: Float64Array,
  startOf: BlockStart,
): Generator<NameToList> {
  const { entries, shape } = tree;
  for (let index = cell(shape.firstChildren, directory); index !== 0; index = cell(shape.nextSiblings, index)) {
    const entry = entries[index];
    if (entry === undefined) return;
    const place = cell(places, cell(shape.inodes, index));
    yield {
      name: nameOf(entry),
      type: entry.type,
      number: cell(shape.numbers, index),
      blockStart: startOf(place),
      offset: place % METADATA_SIZE,
    };
  }
}

function headWriter({ shape, idIndex, xattrIndex }: TreeToWrite): (entry: Entry, index: number) => HeadToWrite {
  return (entry, index) => ({
    mode: entry.mode,
    uidIndex: idIndex(entry.uid),
    gidIndex: idIndex(entry.gid),
    mtime: secondsOf(entry.mtime),
    number: cell(shape.numbers, index),
    nlink: cell(shape.linkCounts, index),
    xattrs: xattrIndex(index),
  });
}

const SECOND = 1_000_000_000n;

/**
 * A time (nanoseconds since the epoch) as inodes have it. mksquashfs keeps the low 32 bits of the seconds: one before
 * 1970 becomes one of the 22nd century.
 */
export function secondsOf(nanoseconds: bigint): number {
  const rest = nanoseconds % SECOND;
  const floor = (nanoseconds - (rest < 0n ? rest + SECOND : rest)) / SECOND;
  return Number(BigInt.asUintN(32, floor));
}

function inodeToWrite(tree: TreeToWrite, entry: Entry, index: number): InodeToWrite {
  const { type } = entry;
  switch (type) {
    case 'file':
      return { type, data: tree.fileData(index) };
    case 'symlink':
      return { type, target: entry.target };
    case 'block':
    case 'char':
      // glibc's dev_t and the kernel's own encoding agree in 32 bits
      if (entry.rdev > 0xffff_ffff) throw overLimit(`the device number of ${displayEntry(entry.path)} is too large`);
      return { type, rdev: entry.rdev };
    case 'fifo':
    case 'socket':
      return { type };
    case 'directory':
      throw new Error('internal error: a directory is written elsewhere');
  }
}
