import type { Packer } from '../system/compressors.ts';
import { createByteBuilder } from './byte-builder.ts';
import { METADATA_SIZE } from './image-file.ts';
import type { ImageOutput } from './image-output.ts';
import { packMetadata, placeIn } from './pack-metadata.ts';
import { overLimit } from './squashfs-error.ts';
import { XATTR_ELSEWHERE, XATTR_ID_SIZE, XATTR_PREFIXES, type Xattr } from './xattrs.ts';

/** Collects lists of extended attributes, each different one once. */
export type XattrCollector = {
  /**
   * @returns the list's index, null for one that is empty: attributes that squashfs has no place for (`system.*`) are
   * left out, as mksquashfs does
   */
  indexOf: (list: readonly Xattr[]) => number | null;
  lists: () => readonly (readonly Xattr[])[];
};

export function createXattrCollector(): XattrCollector {
  const lists: (readonly Xattr[])[] = [];
  const indexes = new Map<string, number>();
  return {
    lists: () => lists,
    indexOf: (list) => {
      const kept = list.filter(({ name }) => prefixOf(name) !== -1);
      if (kept.length === 0) return null;
      const key = kept
        .map(({ name, value }) => `${name}\0${value.toString('latin1').length}\0${value.toString('latin1')}`)
        .join('');
      const known = indexes.get(key);
      if (known !== undefined) return known;
      indexes.set(key, lists.length);
      return lists.push(kept) - 1;
    },
  };
}

/** A value of this many bytes that comes again is referred to; a reference takes 8. */
const WORTH_REFERRING = 32;

type WrittenList = { at: number; count: number; size: number };

/**
 * Writes the xattr tables (squashfs 4.0): the attributes, the places of the lists, and the index of these.
 * @returns where the image's superblock has to point
 */
export async function writeXattrs(
  output: ImageOutput,
  lists: readonly (readonly Xattr[])[],
  packer: Packer | null,
): Promise<number> {
  const repeated = repeatedValues(lists);
  // A reference holds the place of a packed block, known beforehand only when blocks are stored as they are.
  const { bytes, written } = encodeLists(lists, repeated);
  const packed = await packMetadata(bytes, repeated.size > 0 ? null : packer);
  const start = output.position();
  for (const block of packed.blocks) output.append(block);
  const ids = Buffer.alloc(XATTR_ID_SIZE * written.length);
  for (const [index, { at, count, size }] of written.entries()) {
    ids.writeBigUInt64LE(reference(placeIn(packed.starts, at)), XATTR_ID_SIZE * index);
    ids.writeUInt32LE(count, XATTR_ID_SIZE * index + 8);
    ids.writeUInt32LE(size, XATTR_ID_SIZE * index + 12);
  }
  const packedIds = await packMetadata(ids, packer);
  const idsStart = output.position();
  for (const block of packedIds.blocks) output.append(block);
  const header = output.position();
  const index = Buffer.alloc(16 + 8 * packedIds.blocks.length);
  index.writeBigUInt64LE(BigInt(start), 0);
  index.writeUInt32LE(written.length, 8);
  for (const [i, blockStart] of packedIds.starts.entries())
    index.writeBigUInt64LE(BigInt(idsStart + blockStart), 16 + 8 * i);
  output.append(index);
  return header;
}

function encodeLists(
  lists: readonly (readonly Xattr[])[],
  repeated: ReadonlySet<string>,
): { bytes: Buffer; written: WrittenList[] } {
  const table = createByteBuilder();
  const places = new Map<string, number>();
  const written = lists.map((list): WrittenList => {
    const at = table.length();
    let size = 0;
    for (const { name, value } of list) {
      // as the full names take it in listxattr(2), with their NUL
      size += name.length + 1 + value.length;
      const key = value.toString('latin1');
      const place = repeated.has(key) ? places.get(key) : undefined;
      const valueAt =
        place === undefined
          ? encodeAttribute(table, name, value, 'here')
          : encodeAttribute(table, name, referenceTo(place), 'elsewhere');
      if (place === undefined && repeated.has(key)) places.set(key, valueAt);
    }
    return { at, count: list.length, size };
  });
  return { bytes: table.bytes(), written };
}

/** @returns where the value, with its length, begins */
function encodeAttribute(
  table: ReturnType<typeof createByteBuilder>,
  name: string,
  value: Buffer,
  where: 'here' | 'elsewhere',
): number {
  const prefix = prefixOf(name);
  const rest = name.slice(XATTR_PREFIXES[prefix]?.length ?? 0);
  if (rest.length > 0xffff) throw overLimit('the name of an extended attribute is too long');
  const at = table.extend(4 + rest.length + 4 + value.length);
  const bytes = table.room();
  bytes.writeUInt16LE(prefix | (where === 'elsewhere' ? XATTR_ELSEWHERE : 0), at);
  bytes.writeUInt16LE(rest.length, at + 2);
  bytes.write(rest, at + 4, 'latin1');
  const valueAt = at + 4 + rest.length;
  bytes.writeUInt32LE(value.length, valueAt);
  value.copy(bytes, valueAt + 4);
  return valueAt;
}

function repeatedValues(lists: readonly (readonly Xattr[])[]): ReadonlySet<string> {
  const once = new Set<string>();
  const repeated = new Set<string>();
  for (const { value } of lists.flat()) {
    if (value.length < WORTH_REFERRING) continue;
    const key = value.toString('latin1');
    if (once.has(key)) repeated.add(key);
    once.add(key);
  }
  return repeated;
}

/** Bytes of a block stored as it is, with its header. */
const RAW_BLOCK = METADATA_SIZE + 2;

function referenceTo(place: number): Buffer {
  const bytes = Buffer.alloc(8);
  const blockStart = Math.floor(place / METADATA_SIZE) * RAW_BLOCK;
  bytes.writeBigUInt64LE(reference({ blockStart, offset: place % METADATA_SIZE }));
  return bytes;
}

function reference({ blockStart, offset }: { blockStart: number; offset: number }): bigint {
  return (BigInt(blockStart) << 16n) | BigInt(offset);
}

/** -1 for a name that squashfs has no number for. */
function prefixOf(name: string): number {
  return XATTR_PREFIXES.findIndex((prefix) => name.startsWith(prefix));
}
