import type { Packer } from '../system/compressors.ts';
import type { ImageOutput } from './image-output.ts';
import { DATA_RAW } from './inode.ts';

/** Packs data blocks in parallel and writes them in the order in which they came. */
export type BlockQueue = {
  /** A buffer of a block's size; `add` takes it back. */
  take: () => Buffer;
  /**
   * Waits while too many blocks are under way.
   * @param buffer one of `take`
   * @param length how much of it is the block
   * @param written told where the block is and its size as an inode has it
   */
  add: (buffer: Buffer, length: number, packer: Packer | null, written: Written) => Promise<void>;
  /** Gives a buffer back that was not needed. */
  release: (buffer: Buffer) => void;
  /** All blocks are written when this returns. */
  flush: () => Promise<void>;
};

export type Written = (start: number, word: number) => void;

type UnderWay = { buffer: Buffer; block: Buffer; packed: Promise<Buffer | null>; written: Written };

/** @param depth blocks that may be under way: with their results they take twice their size */
export function createBlockQueue(output: ImageOutput, blockSize: number, depth: number): BlockQueue {
  const underWay: UnderWay[] = [];
  const spare: Buffer[] = [];

  async function writeOldest(): Promise<void> {
    const oldest = underWay.shift();
    if (oldest === undefined) return;
    const { buffer, block, written } = oldest;
    const packed = await oldest.packed;
    const start = output.position();
    output.append(packed ?? block);
    spare.push(buffer);
    written(start, packed === null ? block.length | DATA_RAW : packed.length);
  }

  return {
    take: () => spare.pop() ?? Buffer.allocUnsafeSlow(blockSize),
    release: (buffer) => void spare.push(buffer),
    add: async (buffer, length, packer, written) => {
      const block = buffer.subarray(0, length);
      const packed = packer === null ? Promise.resolve(null) : packer.pack(block);
      // the first error that is waited for ends the writing, and nobody waits for the others
      packed.catch(() => undefined);
      underWay.push({ buffer, block, packed, written });
      while (underWay.length >= depth) await writeOldest();
    },
    flush: async () => {
      while (underWay.length > 0) await writeOldest();
    },
  };
}
