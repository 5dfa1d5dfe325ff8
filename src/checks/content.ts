import { RejectedError } from '../errors.ts';
import type { Tree } from '../tree/look.ts';
import { type Check, well } from './check.ts';
import type { MountOnce } from './mount-once.ts';

export type ContentCheckOptions = {
  image: MountOnce;
  /** What the source tree had when the image was made. */
  manifestFile: string;
  tree: Tree;
};

/** How many differences a message names. */
const NAMED = 5;

/**
 * The image mounts and has every path of the source tree with its type, mode, owner, size and target, and no other. The
 * manifest is what counts: a damaged directory reads without an error and with entries missing.
 */
export function contentCheck({ image, manifestFile, tree }: ContentCheckOptions): Check {
  return {
    name: 'content',
    run: async (signal) => {
      await compareWithManifest(tree, await image.root(), manifestFile, signal);
      return well('it mounts and has what the chroot had');
    },
  };
}

/** @throws RejectedError naming how the image mounted at `root` is not what the manifest says */
export async function compareWithManifest(
  tree: Tree,
  root: string,
  manifestFile: string,
  signal: AbortSignal,
): Promise<void> {
  const differences = await tree.compareImage({ root, manifestFile, limit: NAMED + 1 }, signal);
  if (differences.length > 0) throw new RejectedError(`the image is not what the chroot was: ${named(differences)}`);
}

function named(differences: readonly { message: string }[]): string {
  const more = differences.length > NAMED ? ' and more' : '';
  return `${differences
    .slice(0, NAMED)
    .map((difference) => difference.message)
    .join(', ')}${more}`;
}
