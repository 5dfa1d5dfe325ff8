import type { EntryType } from '../tree/entry.ts';
import type { ByteBuilder } from './byte-builder.ts';
import { EXTENDED, type FileData, INODE_HEAD_SIZE, INODE_TYPES, NO_FRAGMENT, NO_XATTRS } from './inode.ts';

/** What an inode of any type has, with indexes in the id and xattr tables. */
export type HeadToWrite = {
  mode: number;
  uidIndex: number;
  gidIndex: number;
  /** Seconds, 32 bits without sign. */
  mtime: number;
  number: number;
  nlink: number;
  xattrs: number | null;
};

export type InodeToWrite =
  | { type: 'file'; data: FileData }
  /** One char per byte. */
  | { type: 'symlink'; target: string }
  | { type: 'block' | 'char'; rdev: number }
  | { type: 'fifo' | 'socket' };

export type DirectoryToWrite = {
  listing: { blockStart: number; offset: number; size: number };
  /** Inode number of the directory that it is in. */
  parent: number;
  index: readonly DirectoryIndexEntry[];
};

/** Where a directory's listing goes on in a metadata block, for lookups that start there. */
export type DirectoryIndexEntry = { offset: number; blockStart: number; name: string };

type InodeKind = 'basic' | 'extended';

/** squashfs 4.0: a listing's stored size is 3 more, for `.` and `..`. */
const DOTS = 3;
const UINT16_MAX = 0xffff;
const UINT32_MAX = 0xffff_ffff;

/**
 * Appends an inode of any type but a directory: a basic one where it can say all.
 * @returns where it begins
 */
export function encodeInode(table: ByteBuilder, head: HeadToWrite, inode: InodeToWrite): number {
  switch (inode.type) {
    case 'file':
      return encodeFile(table, head, inode.data);
    case 'symlink': {
      const { target } = inode;
      const at = encodeHead(table, head, 'symlink', kindOf(head), 8 + target.length + xattrSize(head));
      const body = at + INODE_HEAD_SIZE;
      const bytes = table.room();
      bytes.writeUInt32LE(head.nlink, body);
      bytes.writeUInt32LE(target.length, body + 4);
      bytes.write(target, body + 8, 'latin1');
      if (head.xattrs !== null) bytes.writeUInt32LE(head.xattrs, body + 8 + target.length);
      return at;
    }
    case 'block':
    case 'char': {
      const at = encodeHead(table, head, inode.type, kindOf(head), 8 + xattrSize(head));
      const bytes = table.room();
      bytes.writeUInt32LE(head.nlink, at + INODE_HEAD_SIZE);
      bytes.writeUInt32LE(inode.rdev, at + INODE_HEAD_SIZE + 4);
      if (head.xattrs !== null) bytes.writeUInt32LE(head.xattrs, at + INODE_HEAD_SIZE + 8);
      return at;
    }
    case 'fifo':
    case 'socket': {
      const at = encodeHead(table, head, inode.type, kindOf(head), 4 + xattrSize(head));
      const bytes = table.room();
      bytes.writeUInt32LE(head.nlink, at + INODE_HEAD_SIZE);
      if (head.xattrs !== null) bytes.writeUInt32LE(head.xattrs, at + INODE_HEAD_SIZE + 4);
      return at;
    }
  }
}

/** Bytes that a directory's inode will have: known before where its listing is. */
export function directoryInodeSize(
  head: Pick<HeadToWrite, 'xattrs'>,
  directory: { listing: { size: number }; index: readonly { name: string }[] },
): number {
  if (isBasicDirectory(head, directory)) return INODE_HEAD_SIZE + 16;
  return directory.index.reduce((size, { name }) => size + 12 + name.length, INODE_HEAD_SIZE + 24);
}

/** Appends a directory's inode of `directoryInodeSize` bytes. */
export function encodeDirectory(table: ByteBuilder, head: HeadToWrite, directory: DirectoryToWrite): void {
  const { listing, parent, index } = directory;
  const size = directoryInodeSize(head, directory) - INODE_HEAD_SIZE;
  const basic = isBasicDirectory(head, directory);
  const body = encodeHead(table, head, 'directory', basic ? 'basic' : 'extended', size) + INODE_HEAD_SIZE;
  const bytes = table.room();
  if (basic) {
    bytes.writeUInt32LE(listing.blockStart, body);
    bytes.writeUInt32LE(head.nlink, body + 4);
    bytes.writeUInt16LE(listing.size + DOTS, body + 8);
    bytes.writeUInt16LE(listing.offset, body + 10);
    bytes.writeUInt32LE(parent, body + 12);
    return;
  }
  bytes.writeUInt32LE(head.nlink, body);
  bytes.writeUInt32LE(listing.size + DOTS, body + 4);
  bytes.writeUInt32LE(listing.blockStart, body + 8);
  bytes.writeUInt32LE(parent, body + 12);
  bytes.writeUInt16LE(index.length, body + 16);
  bytes.writeUInt16LE(listing.offset, body + 18);
  bytes.writeUInt32LE(head.xattrs ?? NO_XATTRS, body + 20);
  let at = body + 24;
  for (const { offset, blockStart, name } of index) {
    bytes.writeUInt32LE(offset, at);
    bytes.writeUInt32LE(blockStart, at + 4);
    bytes.writeUInt32LE(name.length - 1, at + 8);
    bytes.write(name, at + 12, 'latin1');
    at += 12 + name.length;
  }
}

function isBasicDirectory(
  head: Pick<HeadToWrite, 'xattrs'>,
  { listing, index }: { listing: { size: number }; index: readonly unknown[] },
): boolean {
  return head.xattrs === null && index.length === 0 && listing.size + DOTS <= UINT16_MAX;
}

function encodeFile(table: ByteBuilder, head: HeadToWrite, data: FileData): number {
  const { size, start, blocks, fragment, sparse } = data;
  const basic = head.xattrs === null && head.nlink === 1 && sparse === 0 && size <= UINT32_MAX && start <= UINT32_MAX;
  const at = encodeHead(table, head, 'file', basic ? 'basic' : 'extended', (basic ? 16 : 40) + 4 * blocks.length);
  const body = at + INODE_HEAD_SIZE;
  const bytes = table.room();
  const index = fragment?.index ?? NO_FRAGMENT;
  const offset = fragment?.offset ?? 0;
  if (basic) {
    bytes.writeUInt32LE(start, body);
    bytes.writeUInt32LE(index, body + 4);
    bytes.writeUInt32LE(offset, body + 8);
    bytes.writeUInt32LE(size, body + 12);
  } else {
    bytes.writeBigUInt64LE(BigInt(start), body);
    bytes.writeBigUInt64LE(BigInt(size), body + 8);
    bytes.writeBigUInt64LE(BigInt(sparse), body + 16);
    bytes.writeUInt32LE(head.nlink, body + 24);
    bytes.writeUInt32LE(index, body + 28);
    bytes.writeUInt32LE(offset, body + 32);
    bytes.writeUInt32LE(head.xattrs ?? NO_XATTRS, body + 36);
  }
  let word = body + (basic ? 16 : 40);
  for (const block of blocks) word = bytes.writeUInt32LE(block, word);
  return at;
}

function encodeHead(table: ByteBuilder, head: HeadToWrite, type: EntryType, kind: InodeKind, bodySize: number): number {
  const at = table.extend(INODE_HEAD_SIZE + bodySize);
  const bytes = table.room();
  bytes.writeUInt16LE(INODE_TYPES.indexOf(type) + 1 + (kind === 'basic' ? 0 : EXTENDED), at);
  bytes.writeUInt16LE(head.mode, at + 2);
  bytes.writeUInt16LE(head.uidIndex, at + 4);
  bytes.writeUInt16LE(head.gidIndex, at + 6);
  bytes.writeUInt32LE(head.mtime, at + 8);
  bytes.writeUInt32LE(head.number, at + 12);
  return at;
}

/** Of all types but files and directories, which have further reasons for an extended inode. */
function kindOf({ xattrs }: HeadToWrite): InodeKind {
  return xattrs === null ? 'basic' : 'extended';
}

function xattrSize(head: HeadToWrite): number {
  return head.xattrs === null ? 0 : 4;
}
