import fs from 'node:fs';
import { UserError } from '../../errors.ts';
import type { Difference } from '../../tree/differences.ts';
import { displayPath } from '../../tree/display.ts';
import type { Entry } from '../../tree/entry.ts';
import { readManifest } from '../../tree/manifest.ts';
import { comparePair } from './pair.ts';
import { inShare, type Share, shuffled } from './selection.ts';

/** `all` regular files, or of a sample those that must be read and as many others as `budget` milliseconds suffice for. */
export type Extent =
  | { kind: 'all' }
  /** `paths` as the manifest has them (latin1); which others are read follows from `seed`. */
  | { kind: 'sample'; paths: readonly string[]; budget: number; seed: number };

export type CompareRequest = {
  /** The tree that the image was made of, and the manifest of the walk that went with it. */
  source: string;
  manifestFile: string;
  /** The mounted image. */
  image: string;
  extent: Extent;
  /** So many differences, and files of which nothing can be told, are named; after that many differences it ends. */
  limit: number;
};

export type Comparison = {
  /** Files that were compared whole, and the bytes of all that was compared. */
  files: number;
  bytes: number;
  /** What the image has otherwise than the source, sorted by path. */
  differences: Difference[];
  /** Files of which nothing can be told, since the source changed after its walk; the first of them by name. */
  untold: number;
  changed: Difference[];
};

/**
 * Compares the contents of a mounted image's regular files with those of the tree that it was made of, which finds what
 * went wrong while the image was made. Files that change by themselves (watch.ignore) are left out. Works at once, and
 * holds its thread for as long as that takes.
 * @param share which part of the files is ours, when several do this beside each other
 * @throws UserError when the manifest or a file of the source cannot be read
 */
export function compareContents(request: CompareRequest, share: Share): Comparison {
  const { source, image, manifestFile, extent, limit } = request;
  const files = readManifest(manifestFile).entries.filter(({ type, ignored }) => type === 'file' && !ignored);
  const chosen = choose(files, extent, share);
  const result: Comparison = { files: 0, bytes: 0, differences: [], untold: 0, changed: [] };
  const flags = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY;
  const sourceFd = fs.openSync(source, flags);
  try {
    const imageFd = fs.openSync(image, flags);
    try {
      const compare = (entry: Entry, deadline: number): void => {
        add(result, entry, comparePair({ source: sourceFd, image: imageFd, entry, deadline }), limit);
      };
      for (const entry of chosen.must) {
        if (result.differences.length < limit) compare(entry, Infinity);
      }
      const deadline = performance.now() + chosen.budget;
      for (const entry of chosen.others) {
        if (result.differences.length >= limit || performance.now() >= deadline) break;
        compare(entry, deadline);
      }
    } finally {
      fs.closeSync(imageFd);
    }
  } finally {
    fs.closeSync(sourceFd);
  }
  return result;
}

type Chosen = { must: readonly Entry[]; others: readonly Entry[]; budget: number };

function choose(files: readonly Entry[], extent: Extent, share: Share): Chosen {
  if (extent.kind === 'all') return { must: inShare(files, share), others: [], budget: 0 };
  const wanted = new Set(extent.paths);
  const must = files.filter(({ path }) => wanted.has(path));
  const others = extent.budget > 0 ? files.filter(({ path }) => !wanted.has(path)) : [];
  return {
    must: inShare(must, share),
    others: inShare(shuffled(others, extent.seed), share),
    budget: extent.budget,
  };
}

function add(result: Comparison, { path }: Entry, found: ReturnType<typeof comparePair>, limit: number): void {
  result.bytes += found.bytes;
  switch (found.kind) {
    case 'same':
      result.files += 1;
      return;
    case 'part':
      return;
    case 'different':
      result.files += 1;
      result.differences.push({ path, message: `${displayPath(path)} ${found.what}` });
      return;
    case 'untold':
      result.untold += 1;
      if (result.changed.length < limit) result.changed.push({ path, message: `${displayPath(path)} ${found.what}` });
      return;
    case 'unreadable':
      throw new UserError(`cannot read ${displayPath(path)} in the chroot`, { cause: found.error });
  }
}
