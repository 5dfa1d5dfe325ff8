import { createHash } from 'node:crypto';

/**
 * SHA-256 over a file's content, block by block, that passes over zeros: a hole of gigabytes costs next to nothing. Two
 * files of one size have the same if and only if they have the same content.
 */
export type ContentHash = {
  /** Of a block's length, and not all zeros. */
  bytes: (block: Buffer) => void;
  /** A block of zeros. */
  zeros: () => void;
  /** Base64. */
  digest: () => string;
};

export function createContentHash(): ContentHash {
  const hash = createHash('sha256');
  return {
    // the marks keep a block from looking like the mark of another one: all blocks but the last have one length
    bytes: (block) => void hash.update(BYTES).update(block),
    zeros: () => void hash.update(ZEROS),
    digest: () => hash.digest('base64'),
  };
}

const BYTES = Buffer.from([1]);
const ZEROS = Buffer.from([0]);

let zeros = Buffer.alloc(0);

/** Whether a block is all zeros, which squashfs does not store. */
export function isZero(block: Buffer): boolean {
  if (block[0] !== 0) return block.length === 0;
  if (zeros.length < block.length) zeros = Buffer.alloc(block.length);
  return block.compare(zeros, 0, block.length) === 0;
}
