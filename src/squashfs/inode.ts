import type { EntryType } from '../tree/entry.ts';
import { damaged } from './squashfs-error.ts';
import type { Superblock } from './superblock.ts';

/** Where a file's bytes are in an image. */
export type FileData = {
  /** Bytes. */
  size: number;
  /** Position of its first block in the image; the others follow it without a gap. */
  start: number;
  /** For each block its bytes in the image, 0 for one that is all zeros and not there; see `storedSize`. */
  blocks: Uint32Array;
  /** What is left behind the blocks: a piece of a block that holds several files. */
  fragment: { index: number; offset: number } | null;
  /** Bytes of it that are not there since they are zeros. */
  sparse: number;
};

/** What an inode of any type has. */
export type InodeHead = {
  /** Permission bits (0o7777). */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch, 32 bits without sign. */
  mtime: number;
  /** From 1 to the image's inode count, unique. */
  number: number;
  nlink: number;
  /** Which of the image's lists of extended attributes it has. */
  xattrs: number | null;
};

export type Inode = InodeHead &
  (
    | { type: 'file'; data: FileData }
    | { type: 'directory'; listing: { blockStart: number; offset: number; size: number }; parent: number }
    | { type: 'symlink'; target: string }
    | { type: 'block' | 'char'; rdev: number }
    | { type: 'fifo' | 'socket' }
  );

/** In the order of squashfs 4.0's basic inode types, from 1 on; the extended ones have 7 more. */
export const INODE_TYPES: readonly EntryType[] = ['directory', 'file', 'symlink', 'block', 'char', 'fifo', 'socket'];
export const EXTENDED = 7;

/** In the size of a data block: it is stored as it is. */
export const DATA_RAW = 1 << 24;

/** Bytes that inodes of all types begin with. */
export const INODE_HEAD_SIZE = 16;

export const NO_FRAGMENT = 0xffff_ffff;
export const NO_XATTRS = 0xffff_ffff;

/** Longer targets than the kernel's PATH_MAX no tool makes. */
const LONGEST_TARGET = 65_535;

/** Bytes of a data block in the image. */
export function storedSize(word: number): number {
  return word & ~DATA_RAW;
}

/** What inodes of one image may refer to. */
export type InodeLimits = {
  superblock: Superblock;
  /** The image's uids and gids. */
  ids: Uint32Array;
  xattrCount: number;
};

/** The type of the inode at an offset of the inode table. @throws SquashfsError */
export function inodeType(table: Buffer, at: number): EntryType {
  expect(table, at, INODE_HEAD_SIZE);
  const number = table.readUInt16LE(at);
  const type = INODE_TYPES[number > EXTENDED ? number - EXTENDED - 1 : number - 1];
  if (type === undefined) throw damaged(`an inode has the unknown type ${number}`);
  return type;
}

/** The number of the inode at an offset of the inode table, whose type is known. @throws SquashfsError */
export function inodeNumber(table: Buffer, at: number, { inodeCount }: Superblock): number {
  const number = table.readUInt32LE(at + 12);
  if (number === 0 || number > inodeCount) throw damaged('an inode has an absurd number');
  return number;
}

/** The size of a file whose inode is at an offset of the inode table; null when it is no file. @throws SquashfsError */
export function inodeFileSize(table: Buffer, at: number): number | null {
  if (inodeType(table, at) !== 'file') return null;
  const extended = table.readUInt16LE(at) > EXTENDED;
  expect(table, at + INODE_HEAD_SIZE, extended ? 40 : 16);
  return extended ? safe(table.readBigUInt64LE(at + 24)) : table.readUInt32LE(at + 28);
}

/**
 * Decodes the inode at an offset of the inode table (squashfs 4.0, inode types 1 to 14) and checks what it refers to.
 * @throws SquashfsError
 */
export function decodeInode(table: Buffer, at: number, limits: InodeLimits): Inode {
  const type = inodeType(table, at);
  const extended = table.readUInt16LE(at) > EXTENDED;
  const head: InodeHead = {
    mode: table.readUInt16LE(at + 2) & 0o7777,
    uid: idAt(limits, table.readUInt16LE(at + 4)),
    gid: idAt(limits, table.readUInt16LE(at + 6)),
    mtime: table.readUInt32LE(at + 8),
    number: table.readUInt32LE(at + 12),
    nlink: 1,
    xattrs: null,
  };
  const inode = extended
    ? extendedInode(type, head, table, at + 16, limits)
    : basicInode(type, head, table, at + 16, limits);
  if (inode.xattrs !== null && inode.xattrs >= limits.xattrCount)
    throw damaged('an inode has attributes that are not there');
  return inode;
}

function basicInode(type: EntryType, head: InodeHead, table: Buffer, at: number, limits: InodeLimits): Inode {
  switch (type) {
    case 'directory': {
      expect(table, at, 16);
      head.nlink = table.readUInt32LE(at + 4);
      const listing = {
        blockStart: table.readUInt32LE(at),
        offset: table.readUInt16LE(at + 10),
        size: listingSize(table.readUInt16LE(at + 8)),
      };
      return { ...head, type, listing, parent: table.readUInt32LE(at + 12) };
    }
    case 'file': {
      expect(table, at, 16);
      const start = table.readUInt32LE(at);
      const size = table.readUInt32LE(at + 12);
      const fragment = fragmentOf(table.readUInt32LE(at + 4), table.readUInt32LE(at + 8));
      return fileInode(head, fileData(table, at + 16, { start, size, sparse: 0, fragment }, limits));
    }
    case 'symlink':
      return symlink(head, table, at);
    case 'block':
    case 'char':
      expect(table, at, 8);
      head.nlink = table.readUInt32LE(at);
      return { ...head, type, rdev: table.readUInt32LE(at + 4) };
    case 'fifo':
    case 'socket':
      expect(table, at, 4);
      head.nlink = table.readUInt32LE(at);
      return { ...head, type };
  }
}

function extendedInode(type: EntryType, head: InodeHead, table: Buffer, at: number, limits: InodeLimits): Inode {
  switch (type) {
    case 'directory': {
      expect(table, at, 24);
      head.nlink = table.readUInt32LE(at);
      head.xattrs = xattrsOf(table.readUInt32LE(at + 20));
      const listing = {
        blockStart: table.readUInt32LE(at + 8),
        offset: table.readUInt16LE(at + 18),
        size: listingSize(table.readUInt32LE(at + 4)),
      };
      return { ...head, type, listing, parent: table.readUInt32LE(at + 12) };
    }
    case 'file': {
      expect(table, at, 40);
      const start = safe(table.readBigUInt64LE(at));
      const size = safe(table.readBigUInt64LE(at + 8));
      const sparse = safe(table.readBigUInt64LE(at + 16));
      head.nlink = table.readUInt32LE(at + 24);
      const fragment = fragmentOf(table.readUInt32LE(at + 28), table.readUInt32LE(at + 32));
      head.xattrs = xattrsOf(table.readUInt32LE(at + 36));
      return fileInode(head, fileData(table, at + 40, { start, size, sparse, fragment }, limits));
    }
    case 'symlink': {
      const inode = symlink(head, table, at);
      const end = at + 8 + inode.target.length;
      expect(table, end, 4);
      return { ...inode, xattrs: xattrsOf(table.readUInt32LE(end)) };
    }
    case 'block':
    case 'char':
      expect(table, at, 12);
      head.nlink = table.readUInt32LE(at);
      head.xattrs = xattrsOf(table.readUInt32LE(at + 8));
      return { ...head, type, rdev: table.readUInt32LE(at + 4) };
    case 'fifo':
    case 'socket':
      expect(table, at, 8);
      head.nlink = table.readUInt32LE(at);
      head.xattrs = xattrsOf(table.readUInt32LE(at + 4));
      return { ...head, type };
  }
}

function symlink(head: InodeHead, table: Buffer, at: number): InodeHead & { type: 'symlink'; target: string } {
  expect(table, at, 8);
  head.nlink = table.readUInt32LE(at);
  const length = table.readUInt32LE(at + 4);
  if (length === 0 || length > LONGEST_TARGET) throw damaged('a symlink has a target of absurd length');
  expect(table, at + 8, length);
  return { ...head, type: 'symlink', target: table.toString('latin1', at + 8, at + 8 + length) };
}

/** Without a spread, which costs more than all the rest of decoding. */
function fileInode({ mode, uid, gid, mtime, number, nlink, xattrs }: InodeHead, data: FileData): Inode {
  return { type: 'file', mode, uid, gid, mtime, number, nlink, xattrs, data };
}

const NO_BLOCKS = new Uint32Array(0);

function fileData(table: Buffer, at: number, data: Omit<FileData, 'blocks'>, limits: InodeLimits): FileData {
  const { blockSize, inodeTable, fragmentCount } = limits.superblock;
  const whole = data.size / blockSize;
  const count = data.fragment === null ? Math.ceil(whole) : Math.floor(whole);
  const rest = data.size % blockSize;
  if (data.fragment !== null) {
    const { index, offset } = data.fragment;
    if (index >= fragmentCount || offset + rest > blockSize) throw damaged('a file has a fragment that is not there');
  }
  if (count === 0)
    return { size: data.size, start: data.start, blocks: NO_BLOCKS, fragment: data.fragment, sparse: data.sparse };
  expect(table, at, 4 * count);
  const blocks = new Uint32Array(count);
  let end = data.start;
  for (let i = 0; i < count; i++) {
    const word = table.readUInt32LE(at + 4 * i);
    if (storedSize(word) > blockSize) throw damaged('a file has a block of absurd length');
    blocks[i] = word;
    end += storedSize(word);
  }
  if (end > inodeTable) throw damaged('a file has blocks that are not there');
  return { size: data.size, start: data.start, blocks, fragment: data.fragment, sparse: data.sparse };
}

function fragmentOf(index: number, offset: number): FileData['fragment'] {
  return index === NO_FRAGMENT ? null : { index, offset };
}

function xattrsOf(index: number): number | null {
  return index === NO_XATTRS ? null : index;
}

/** What is stored is 3 more, for `.` and `..`. */
function listingSize(stored: number): number {
  if (stored < 3) throw damaged('a directory has an absurd length');
  return stored - 3;
}

function idAt({ ids }: InodeLimits, index: number): number {
  const id = ids[index];
  if (id === undefined) throw damaged('an inode has an owner that is not there');
  return id;
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged('a file has an absurd length or place');
  return Number(value);
}

function expect(table: Buffer, at: number, length: number): void {
  if (at + length > table.length) throw damaged('an inode goes beyond its table');
}
