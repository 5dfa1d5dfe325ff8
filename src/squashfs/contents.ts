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
};

/** Decompressed blocks with pieces of files: neighbours in a tree are neighbours there as well. */
const CACHED_FRAGMENTS = 4;

/** @throws SquashfsError, as do its functions, when what is there is damaged */
export function readContents(image: ImageFile): Contents {
  const { blockSize } = image.superblock;
  const fragments = readFragments(image);
  const cache = new Map<number, Buffer>();

  function unpacked(start: number, word: number, room: number): Buffer {
    const stored = image.read(start, storedSize(word));
    if ((word & DATA_RAW) !== 0) return stored;
    const output = Buffer.allocUnsafe(room);
    return output.subarray(0, image.unpack(stored, output));
  }

  function fragmentBlock(index: number): Buffer {
    const cached = cache.get(index);
    if (cached !== undefined) return cached;
    const { start, word } = fragments.at(index);
    const block = unpacked(start, word, blockSize);
    const [oldest] = cache.keys();
    if (cache.size >= CACHED_FRAGMENTS && oldest !== undefined) cache.delete(oldest);
    cache.set(index, block);
    return block;
  }

  function block(data: FileData, index: number): Buffer {
    const length = Math.min(blockSize, data.size - index * blockSize);
    const word = data.blocks[index];
    if (word === undefined) {
      if (data.fragment === null || length <= 0) throw new RangeError('internal error: a file has no such block');
      const { offset } = data.fragment;
      return sized(fragmentBlock(data.fragment.index).subarray(offset, offset + length), length);
    }
    if (storedSize(word) === 0) return Buffer.alloc(length);
    let start = data.start;
    for (let i = 0; i < index; i++) start += storedSize(data.blocks[i] ?? 0);
    return sized(unpacked(start, word, blockSize), length);
  }

  return {
    fragments,
    block,
    blocks: function* (data) {
      for (let index = 0; index * blockSize < data.size; index++) yield block(data, index);
    },
  };
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
