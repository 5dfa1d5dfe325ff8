import fs from 'node:fs';
import type { Generation } from '../store/generation.ts';
import { hasSum, PIECE, sumsOf } from '../store/sums.ts';
import { digestFromDisk } from './dropped-cache.ts';

/** How much of an image is looked at: the first piece and some that move on each time, or all of it from the disk. */
export type Depth = { kind: 'sample'; from: number } | { kind: 'whole' };

/** `next`: where the sample goes on the next time. */
export type ImageLook = { kind: 'sound'; next: number } | { kind: 'damaged'; why: string };

/** Pieces of a sample beside the first one. */
const SAMPLE = 8;

/**
 * Whether an image file still has the bytes that were checked. A sample costs some milliseconds: size, the first piece,
 * with the superblock in it, and some more. What looks wrong is read again, as a whole and from below the page cache,
 * before it counts: what was good may have been read badly.
 * @param file the published image, the generation's own inode
 * @throws CancelledError; an error with `code` when it cannot be read
 */
export async function lookAtImage(
  file: string,
  record: Pick<Generation, 'size' | 'sums' | 'digest'>,
  depth: Depth,
  signal: AbortSignal,
): Promise<ImageLook> {
  if (depth.kind === 'sample') {
    const look = sample(file, record, depth.from);
    if (look.kind === 'sound') return look;
  }
  const { digest } = await digestFromDisk(file, signal);
  if (digest.digest === record.digest) return { kind: 'sound', next: 0 };
  const why =
    digest.size === record.size
      ? `its digest is ${digest.digest}, recorded is ${record.digest}`
      : `it has ${digest.size} bytes, recorded are ${record.size}`;
  return { kind: 'damaged', why };
}

function sample(file: string, { size, sums }: Pick<Generation, 'size' | 'sums'>, from: number): ImageLook {
  const known = sumsOf(sums);
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  try {
    if (fs.fstatSync(fd).size !== size) return { kind: 'damaged', why: 'its size is another' };
    const moving = Array.from({ length: Math.min(SAMPLE, known.length) }, (_, index) => (from + index) % known.length);
    const buffer = Buffer.alloc(PIECE);
    for (const index of new Set([0, ...moving])) {
      const sum = known[index];
      if (sum === undefined) continue;
      const length = fs.readSync(fd, buffer, 0, PIECE, index * PIECE);
      if (!hasSum(buffer.subarray(0, length), sum)) return { kind: 'damaged', why: `piece ${index} is another` };
    }
    return { kind: 'sound', next: known.length === 0 ? 0 : (from + SAMPLE) % known.length };
  } finally {
    fs.closeSync(fd);
  }
}
