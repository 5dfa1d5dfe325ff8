import type { FileData } from './inode.ts';

/** Counts how much of the blocks that several files share (fragments) is in use. */
export type FragmentShares = {
  /** A file whose piece is in use. */
  use: (data: FileData, blockSize: number) => void;
  /** A file whose piece is in use no more, or still is by another one. */
  leave: (data: FileData, blockSize: number) => void;
  /** Packed bytes in use. @param packed bytes of a fragment in the image */
  count: (packed: (index: number) => number) => number;
};

/** More than the offset of any piece: blocks have up to a megabyte. */
const OFFSETS = 2 ** 20;

export function createFragmentShares(fragments: number): FragmentShares {
  const used = new Float64Array(fragments);
  const ends = new Float64Array(fragments);
  /** Files with the same content share a piece. */
  const pieces = new Set<number>();

  function reach({ fragment, size }: FileData, blockSize: number): number {
    const length = size % blockSize;
    if (fragment !== null) ends[fragment.index] = Math.max(ends[fragment.index] ?? 0, fragment.offset + length);
    return length;
  }

  return {
    use: (data, blockSize) => {
      const length = reach(data, blockSize);
      if (data.fragment === null) return;
      const { index, offset } = data.fragment;
      const piece = index * OFFSETS + offset;
      if (pieces.has(piece)) return;
      pieces.add(piece);
      used[index] = (used[index] ?? 0) + length;
    },
    leave: reach,
    count: (packed) => {
      const live = used.reduce(
        (sum, length, index) => sum + (length > 0 ? (packed(index) * length) / (ends[index] ?? length) : 0),
        0,
      );
      return Math.round(live);
    },
  };
}
