import type { ImageFile } from './image-file.ts';
import { DATA_RAW, type FileData, storedSize } from './inode.ts';
import { readIndexedTable } from './metadata.ts';
import { damaged } from './squashfs-error.ts';

/** One entry of the fragment table: where a block with pieces of several files is, and its size as of a data block. */
export type Fragment = { start: number; word: number };

export type Fragments = { count: number; at: (index: number) => Fragment; table: Buffer };

export const FRAGMENT_SIZE = 16;

/** Reads what is in the files of an image. */
export type Contents = {
  fragments: Fragments;
  /** One block of a file, decompressed, from 0 on; the last one is the piece of a fragment where there is one. */
  block: (data: FileData, index: number) => Buffer;
  /** All blocks of a file, in order. */
  blocks: (data: FileData) => Generator<Buffer, void>;
  /** The same, with nothing for a block that is a hole in the image; each is there until the next one is asked for. */
  pieces: (data: FileData) => Generator<Piece, void>;
};

/** `bytes` is null for zeros that are not there. */
export type Piece = { length: number; bytes: Buffer | null };

/** Decompressed blocks with pieces of files: neighbours in a tree are neighbours there as well. */
const CACHED_FRAGMENTS = 4;

/** @throws SquashfsError, as do its functions, when what is there is damaged */
export function readContents(image: ImageFile): Contents {
  const { blockSize } = image.superblock;
  const fragments = readFragments(image);
  const cache = new Map<number, { block: Buffer; memory: Buffer }>();

  const spare: Buffer[] = [];
  const scratch = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(blockSize);
  const single = scratch();

  /** @param output of a block's size: what is stored as it is does not need it */
  function unpacked(start: number, word: number, output: Buffer): Buffer {
    const stored = image.read(start, storedSize(word));
    if ((word & DATA_RAW) !== 0) return stored;
    return output.subarray(0, image.unpack(stored, output));
  }

  function fragmentBlock(index: number): Buffer {
    const cached = cache.get(index);
    if (cached !== undefined) return cached.block;
    const [oldest] = cache;
    if (cache.size >= CACHED_FRAGMENTS && oldest !== undefined) {
      cache.delete(oldest[0]);
      spare.push(oldest[1].memory);
    }
    const { start, word } = fragments.at(index);
    const memory = scratch();
    const block = unpacked(start, word, memory);
    cache.set(index, { block, memory });
    return block;
  }

  function lengthOf(data: FileData, index: number): number {
    return Math.min(blockSize, data.size - index * blockSize);
  }

  /** @param start where the block is, if it is one */
  function bytesOf(data: FileData, index: number, start: number): Buffer | null {
    const length = lengthOf(data, index);
    const word = data.blocks[index];
    if (word === undefined) {
      if (data.fragment === null || length <= 0) throw new RangeError('internal error: a file has no such block');
      const { offset } = data.fragment;
      return sized(fragmentBlock(data.fragment.index).subarray(offset, offset + length), length);
    }
    return storedSize(word) === 0 ? null : sized(unpacked(start, word, single), length);
  }

  function* pieces(data: FileData): Generator<Piece, void> {
    let { start } = data;
    for (let index = 0; index * blockSize < data.size; index++) {
      yield { length: lengthOf(data, index), bytes: bytesOf(data, index, start) };
      start += storedSize(data.blocks[index] ?? 0);
    }
  }

  return {
    fragments,
    pieces,
    block: (data, index) => {
      let { start } = data;
      for (let i = 0; i < index; i++) start += storedSize(data.blocks[i] ?? 0);
      return copyOf(bytesOf(data, index, start), lengthOf(data, index));
    },
    blocks: function* (data) {
      for (const { length, bytes } of pieces(data)) yield copyOf(bytes, length);
    },
  };
}

function copyOf(bytes: Buffer | null, length: number): Buffer {
  return bytes === null ? Buffer.alloc(length) : Buffer.from(bytes);
}

function readFragments(image: ImageFile): Fragments {
  const { fragmentTable, fragmentCount, blockSize, inodeTable } = image.superblock;
  const size = FRAGMENT_SIZE * fragmentCount;
  const table = fragmentTable === null ? Buffer.alloc(0) : readIndexedTable(image, fragmentTable, size);
  return {
    count: fragmentCount,
    table,
    at: (index) => {
      const start = Number(table.readBigUInt64LE(FRAGMENT_SIZE * index));
      const word = table.readUInt32LE(FRAGMENT_SIZE * index + 8);
      if (storedSize(word) > blockSize || start + storedSize(word) > inodeTable) {
        throw damaged('a fragment is not where it can be');
      }
      return { start, word };
    },
  };
}

function sized(block: Buffer, length: number): Buffer {
  if (block.length !== length) throw damaged('a block does not have the length that it should have');
  return block;
}
