import type { EntryType } from '../tree/entry.ts';
import type { ByteBuilder } from './byte-builder.ts';
import { METADATA_SIZE } from './image-file.ts';
import { INODE_TYPES } from './inode.ts';
import { HEADER_NAMES, HEADER_SIZE, NAME_HEAD_SIZE } from './listing.ts';

/** A name to be listed, one char per byte, and where its inode is. */
export type NameToList = { name: string; type: EntryType; number: number; blockStart: number; offset: number };

/** A listing in the directory table; places are those of the table before it is packed. */
export type WrittenListing = {
  at: number;
  size: number;
  /** Headers at which a metadata block is entered: where, and the name that follows. */
  index: { at: number; name: string }[];
};

/**
 * Appends the listing of one directory (squashfs 4.0). A header serves up to 256 names whose inodes are in one metadata
 * block and whose numbers are within 16 bits of the first one's; it ends where a metadata block of the listing does.
 * @param names in byte order
 */
export function writeListing(table: ByteBuilder, names: Iterable<NameToList>): WrittenListing {
  const start = table.length();
  const index: WrittenListing['index'] = [];
  let header: { at: number; count: number; blockStart: number; number: number } | null = null;
  for (const { name, type, number, blockStart, offset } of names) {
    const here = table.length();
    const crossed: boolean = header !== null && blockOf(here) !== blockOf(header.at);
    if (header === null || crossed || !fits(header, number, blockStart)) {
      if (crossed) index.push({ at: here, name });
      header = { at: table.extend(HEADER_SIZE), count: 0, blockStart, number };
      const bytes = table.room();
      bytes.writeUInt32LE(blockStart, header.at + 4);
      bytes.writeUInt32LE(number, header.at + 8);
    }
    const at = table.extend(NAME_HEAD_SIZE + name.length);
    const bytes = table.room();
    bytes.writeUInt16LE(offset, at);
    bytes.writeInt16LE(number - header.number, at + 2);
    bytes.writeUInt16LE(INODE_TYPES.indexOf(type) + 1, at + 4);
    bytes.writeUInt16LE(name.length - 1, at + 6);
    bytes.write(name, at + NAME_HEAD_SIZE, 'latin1');
    bytes.writeUInt32LE(header.count++, header.at);
  }
  const size = table.length() - start;
  // what fits in one block is read from its start as fast
  return { at: start, size, index: size > METADATA_SIZE ? index.slice(0, MOST_INDEXED) : [] };
}

/** Their count has 16 bits. */
const MOST_INDEXED = 0xffff;

function fits(
  header: { count: number; blockStart: number; number: number },
  number: number,
  blockStart: number,
): boolean {
  const delta = number - header.number;
  return header.count < HEADER_NAMES && header.blockStart === blockStart && delta >= -0x8000 && delta <= 0x7fff;
}

function blockOf(at: number): number {
  return Math.floor(at / METADATA_SIZE);
}
