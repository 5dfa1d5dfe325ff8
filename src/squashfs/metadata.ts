import { type ImageFile, METADATA_RAW, METADATA_SIZE } from './image-file.ts';
import { damaged } from './squashfs-error.ts';

/** A table of metadata blocks, decompressed into one piece, so that what runs over a block's end needs no care. */
export type Metadata = {
  bytes: Buffer;
  /**
   * Where in `bytes` something is.
   * @param blockStart of the compressed block, relative to the table's start
   * @param offset in the decompressed block
   * @throws SquashfsError when no block starts there or it is shorter
   */
  locate: (blockStart: number, offset: number) => number;
};

/** Bytes that are read at a time. */
const CHUNK = 1024 * 1024;

/**
 * Reads the metadata blocks between two positions of an image.
 * @param limit more bytes than these, decompressed, are absurd
 */
export function readMetadata(image: ImageFile, start: number, end: number, limit: number): Metadata {
  const blocks: Buffer[] = [];
  const indexes = new Map<number, number>();
  let total = 0;
  const source = chunkReader(image, start, end);
  for (let position = start; position < end; ) {
    const header = source(position, 2).readUInt16LE(0);
    const packed = source(position + 2, header & ~METADATA_RAW);
    const block = blockOf(image, header, packed);
    indexes.set(position - start, total);
    blocks.push(block);
    total += block.length;
    if (total > limit) throw damaged('one of its tables is absurdly long');
    position += 2 + packed.length;
  }
  const bytes = Buffer.concat(blocks, total);
  return {
    bytes,
    locate: (blockStart, offset) => {
      const index = indexes.get(blockStart);
      if (index === undefined || offset >= METADATA_SIZE || index + offset > total) {
        throw damaged('it refers to a place where no metadata is');
      }
      return index + offset;
    },
  };
}

/**
 * Reads a table of entries of one size whose blocks are found by an index of 64-bit positions (squashfs 4.0: fragment,
 * export, id and xattr id tables).
 * @param index where the index is in the image
 * @param size bytes of the whole table, decompressed
 */
export function readIndexedTable(image: ImageFile, index: number, size: number): Buffer {
  const count = Math.ceil(size / METADATA_SIZE);
  const positions = image.read(index, 8 * count);
  const blocks: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const position = Number(positions.readBigUInt64LE(8 * i));
    const header = image.read(position, 2).readUInt16LE(0);
    const block = blockOf(image, header, image.read(position + 2, header & ~METADATA_RAW));
    const wanted = Math.min(METADATA_SIZE, size - i * METADATA_SIZE);
    if (block.length !== wanted) throw damaged('one of its tables is cut short');
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

/** One buffer for all: what is in it is copied at once. */
const scratch = Buffer.allocUnsafeSlow(METADATA_SIZE);

function blockOf(image: ImageFile, header: number, packed: Buffer): Buffer {
  if (packed.length === 0 || packed.length > METADATA_SIZE) throw damaged('a metadata block has an absurd length');
  if ((header & METADATA_RAW) !== 0) return packed;
  const length = image.unpack(packed, scratch);
  return Buffer.from(scratch.subarray(0, length));
}

/** Reads small pieces that follow each other, from large ones. */
function chunkReader(image: ImageFile, start: number, end: number): (position: number, length: number) => Buffer {
  let chunk: Buffer = Buffer.alloc(0);
  let chunkStart = start;
  return (position, length) => {
    if (position + length > end) throw damaged('a metadata block goes beyond its table');
    if (position + length > chunkStart + chunk.length) {
      chunk = image.read(position, Math.min(CHUNK, end - position));
      chunkStart = position;
    }
    return chunk.subarray(position - chunkStart, position - chunkStart + length);
  };
}
