import type { Packer } from '../system/compressors.ts';
import { METADATA_RAW, METADATA_SIZE } from './image-file.ts';

/** Metadata blocks ready to be written one behind the other. */
export type PackedMetadata = {
  /** With their headers. */
  blocks: Buffer[];
  /** Where each begins, relative to the first. */
  starts: number[];
  /** Bytes of all. */
  length: number;
};

/**
 * Cuts a table into metadata blocks (squashfs 4.0: 8192 bytes each, less only in the last) and packs them in parallel.
 * @param packer null: they are stored as they are
 */
export async function packMetadata(bytes: Buffer, packer: Packer | null): Promise<PackedMetadata> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += METADATA_SIZE) pieces.push(bytes.subarray(at, at + METADATA_SIZE));
  const packed = await Promise.all(pieces.map(async (piece) => (packer === null ? null : await packer.pack(piece))));
  const blocks = pieces.map((piece, i) => withHeader(packed[i] ?? null, piece));
  const starts: number[] = [];
  let length = 0;
  for (const block of blocks) {
    starts.push(length);
    length += block.length;
  }
  return { blocks, starts, length };
}

/** Where in a packed table a place of the unpacked one is: its block's start and the offset in it. */
export function placeIn(starts: readonly number[], at: number): { blockStart: number; offset: number } {
  const blockStart = starts[Math.floor(at / METADATA_SIZE)];
  if (blockStart === undefined) throw new RangeError('internal error: a place is beyond its table');
  return { blockStart, offset: at % METADATA_SIZE };
}

function withHeader(packed: Buffer | null, piece: Buffer): Buffer {
  const body = packed ?? piece;
  const block = Buffer.allocUnsafe(2 + body.length);
  block.writeUInt16LE(packed === null ? body.length | METADATA_RAW : body.length, 0);
  body.copy(block, 2);
  return block;
}
