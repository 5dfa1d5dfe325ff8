import { randomBytes } from 'node:crypto';
import { RejectedError } from '../errors.ts';
import type { Check, Finding } from './check.ts';
import type { MountOnce } from './mount-once.ts';
import { type Contents, comparisonWords } from './sample.ts';

export type ContentsCheckOptions = {
  image: MountOnce;
  /** The tree that the image was made of, and the manifest of the walk that went with it. */
  source: string;
  manifestFile: string;
  /** `all` files, or those that an incremental build has written (paths in latin1) and a second's worth of the others. */
  extent: 'sample' | 'all';
  written: readonly string[];
  contents: Contents;
};

/** Milliseconds that are spent on files of which nothing is known. */
const BUDGET = 1000;

/** How many differences a message names. */
const NAMED = 5;

/**
 * The files of a mounted image have the bytes that the chroot's files have. This alone finds what went wrong before the
 * image's digest was taken.
 */
export function contentsCheck({ image, extent, written, contents, ...tree }: ContentsCheckOptions): Check {
  const run = async (signal: AbortSignal): Promise<Finding> => {
    const seed = randomBytes(4).readInt32LE();
    const { differences, ...comparison } = await contents(
      {
        ...tree,
        image: await image.root(),
        extent: extent === 'all' ? { kind: 'all' } : { kind: 'sample', paths: written, budget: BUDGET, seed },
        limit: NAMED + 1,
      },
      signal,
    );
    if (differences.length === 0) return { message: comparisonWords({ differences, ...comparison }), warnings: [] };
    const named = differences.slice(0, NAMED).map(({ message }) => message);
    const more = differences.length > NAMED ? ' and more' : '';
    throw new RejectedError(`the image has not the contents of the chroot: ${named.join(', ')}${more}`);
  };
  return { name: 'contents', run };
}
