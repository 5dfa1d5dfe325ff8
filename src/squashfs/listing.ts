import type { EntryType } from '../tree/entry.ts';
import { INODE_TYPES } from './inode.ts';
import { damaged } from './squashfs-error.ts';

/** squashfs 4.0: names behind one header share the inode block and are at most so many. */
export const HEADER_NAMES = 256;
export const HEADER_SIZE = 12;
export const NAME_HEAD_SIZE = 8;
/** SQUASHFS_NAME_LEN */
export const LONGEST_NAME = 256;

/** One name of a directory, and where its inode is. `start` and `length` are bytes of the directory table. */
export type ListedName = {
  start: number;
  length: number;
  inodeBlock: number;
  inodeOffset: number;
  number: number;
  type: EntryType;
};

/**
 * The names of one directory, checked: bounds, order, and that each may be a name.
 * @param bytes the directory table
 * @throws SquashfsError
 */
export function* listedNames(bytes: Buffer, start: number, end: number): Generator<ListedName, void> {
  if (end > bytes.length) throw damaged('a directory goes beyond its table');
  let previousStart = 0;
  let previousEnd = 0;
  for (let at = start; at < end; ) {
    if (at + HEADER_SIZE > end) throw damaged('a directory is cut short');
    const count = bytes.readUInt32LE(at) + 1;
    const inodeBlock = bytes.readUInt32LE(at + 4);
    const base = bytes.readUInt32LE(at + 8);
    if (count > HEADER_NAMES) throw damaged('a directory has an absurd number of names');
    at += HEADER_SIZE;
    for (let i = 0; i < count; i++) {
      if (at + NAME_HEAD_SIZE > end) throw damaged('a directory is cut short');
      const length = bytes.readUInt16LE(at + 6) + 1;
      const nameStart = at + NAME_HEAD_SIZE;
      const nameEnd = nameStart + length;
      if (nameEnd > end || length > LONGEST_NAME) throw damaged('a directory has a name of absurd length');
      checkName(bytes, nameStart, nameEnd);
      if (bytes.compare(bytes, previousStart, previousEnd, nameStart, nameEnd) <= 0 && previousEnd > 0) {
        throw damaged('a directory has its names in no order');
      }
      const type = INODE_TYPES[bytes.readUInt16LE(at + 4) - 1];
      if (type === undefined) throw damaged('a directory has a name of unknown type');
      yield {
        start: nameStart,
        length,
        inodeBlock,
        inodeOffset: bytes.readUInt16LE(at),
        number: base + bytes.readInt16LE(at + 2),
        type,
      };
      previousStart = nameStart;
      previousEnd = nameEnd;
      at = nameEnd;
    }
  }
}

const SLASH = 0x2f;
const DOT = 0x2e;

/** A name with a slash, or one that means another directory, would lead out of the tree. */
function checkName(bytes: Buffer, start: number, end: number): void {
  const dots = end - start <= 2 && bytes[start] === DOT && bytes[end - 1] === DOT;
  if (dots) throw damaged('a directory lists itself');
  for (let i = start; i < end; i++) {
    if (bytes[i] === SLASH || bytes[i] === 0) throw damaged('a directory has a name that no file can have');
  }
}
