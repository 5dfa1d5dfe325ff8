import { createContentHash, isZero } from './content-hash.ts';
import type { Contents } from './contents.ts';
import type { FileData } from './inode.ts';
import type { ImageTree } from './tree.ts';

/** Finds where a content is already. */
export type KnownContents = {
  hasSize: (size: number) => boolean;
  /** @param digest of `createContentHash` */
  find: (size: number, digest: string) => FileData | null;
};

/** Makes the known contents of files that have one of these sizes. */
export type KnownContentsOf = (sizes: ReadonlySet<number>) => KnownContents;

/** Nothing is known. */
export const nothingKnown: KnownContentsOf = () => ({ hasSize: () => false, find: () => null });

/**
 * The contents of an image's files: what was renamed, copied or unpacked anew finds its blocks again. Files are
 * decompressed to be compared, but only those of the sizes in question.
 * @throws (when called) SquashfsError for a damaged content
 */
export function contentsOfImage(tree: ImageTree, contents: Contents): KnownContentsOf {
  return (sizes) => {
    // by index, since the places of many files would take much memory
    const byDigest = new Map<string, number>();
    const found = new Set<number>();
    for (const { index, size } of candidatesOf(tree, sizes)) {
      const hash = createContentHash();
      for (const { bytes } of contents.pieces(dataOf(tree, index))) {
        if (bytes === null || isZero(bytes)) hash.zeros();
        else hash.bytes(bytes);
      }
      byDigest.set(hash.digest(), index);
      found.add(size);
    }
    return {
      hasSize: (size) => found.has(size),
      find: (size, digest) => {
        const index = byDigest.get(digest);
        const data = index === undefined ? null : dataOf(tree, index);
        return data?.size === size ? data : null;
      },
    };
  };
}

type Candidate = { index: number; size: number; place: number };

/** Each place once, in the image's order, so that a block with pieces of many files is decompressed once. */
function candidatesOf(tree: ImageTree, sizes: ReadonlySet<number>): Candidate[] {
  const all: Candidate[] = [];
  for (let index = 0; index < tree.count; index++) {
    const size = tree.fileSize(index);
    if (size === null || size === 0 || !sizes.has(size)) continue;
    all.push({ index, size, place: placeOf(dataOf(tree, index)) });
  }
  all.sort((one, other) => one.place - other.place || one.size - other.size);
  return all.filter(({ place, size }, i) => place !== all[i - 1]?.place || size !== all[i - 1]?.size);
}

/** A number for each place: of fragments by index and offset, which is below a megabyte, before them those of blocks. */
function placeOf({ start, blocks, fragment }: FileData): number {
  if (fragment === null || blocks.length > 0) return -1 - start;
  return fragment.index * 2 ** 20 + fragment.offset;
}

function dataOf(tree: ImageTree, index: number): FileData {
  const inode = tree.inode(index);
  if (inode.type !== 'file') throw new Error('internal error: what has a size is a file');
  return inode.data;
}
