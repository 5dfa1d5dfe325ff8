import { messageOf, RejectedError } from '../errors.ts';
import { mountImage } from '../system/mounts.ts';
import type { Tree } from '../tree/look.ts';
import type { Check } from './check.ts';
import { missingPaths } from './required.ts';

export type ContentCheckOptions = {
  image: string;
  /** An empty directory to mount on; only this check sees the mount. */
  mountPoint: string;
  /** What the source tree had when the image was made. */
  manifestFile: string;
  required: readonly string[];
  tree: Tree;
};

/** How many differences a message names. */
const NAMED = 5;

/**
 * The image mounts, has every path of the source tree with its type, mode, owner, size and target and no other, and the
 * files that a client needs. The manifest is what counts: a damaged directory reads without an error and with entries
 * missing.
 */
export function contentCheck(options: ContentCheckOptions): Check {
  const { image, mountPoint, manifestFile, required, tree } = options;
  return {
    name: 'content',
    run: async (signal) => {
      const mounted = await mountAsClient(image, mountPoint, signal);
      try {
        const missing = missingPaths(mounted.root, required);
        if (missing.length > 0) throw new RejectedError(missing.join(', '));
        const differences = await tree.compareImage({ root: mounted.root, manifestFile, limit: NAMED + 1 }, signal);
        if (differences.length > 0)
          throw new RejectedError(`the image is not what the chroot was: ${named(differences)}`);
        return 'it mounts and has what the chroot had';
      } finally {
        await mounted.close();
      }
    },
  };
}

async function mountAsClient(image: string, mountPoint: string, signal: AbortSignal): ReturnType<typeof mountImage> {
  try {
    return await mountImage(image, mountPoint, signal);
  } catch (error) {
    // no free loop device says nothing about the image
    if (signal.aborted || messageOf(error).includes('loop device')) throw error;
    throw new RejectedError('the image does not mount', { cause: error });
  }
}

function named(differences: readonly { message: string }[]): string {
  const more = differences.length > NAMED ? ' and more' : '';
  return `${differences
    .slice(0, NAMED)
    .map((difference) => difference.message)
    .join(', ')}${more}`;
}
