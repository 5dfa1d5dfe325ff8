import { messageOf, RejectedError } from '../errors.ts';
import { type MountedImage, mountImage } from '../system/mounts.ts';

/** An image that is mounted when the first check asks for it, and stays so for the others. */
export type MountOnce = {
  /** Its root directory. @throws RejectedError when it does not mount */
  root: () => Promise<string>;
  close: () => Promise<void>;
};

/**
 * @param mountPoint an existing empty directory; only these checks see the mount
 * @param timeout milliseconds that mounting may take
 * @param signal ends the mount
 */
export function mountOnce(image: string, mountPoint: string, timeout: number, signal: AbortSignal): MountOnce {
  let mounted: Promise<MountedImage> | undefined;
  return {
    root: async () => {
      mounted ??= mountAsClient(image, mountPoint, timeout, signal);
      return (await mounted).root;
    },
    close: async () => {
      // one that could not be made was an error for whoever asked for it
      const made = await mounted?.catch(() => undefined);
      await made?.close();
    },
  };
}

async function mountAsClient(
  image: string,
  mountPoint: string,
  timeout: number,
  signal: AbortSignal,
): Promise<MountedImage> {
  const limit = AbortSignal.timeout(timeout);
  try {
    return await mountImage(image, mountPoint, AbortSignal.any([signal, limit]));
  } catch (error) {
    if (limit.aborted && !signal.aborted) {
      throw new RejectedError(`mounting the image did not end within ${timeout / 1000} s (check.timeout)`);
    }
    // no free loop device says nothing about the image
    if (signal.aborted || messageOf(error).includes('loop device')) throw error;
    throw new RejectedError('the image does not mount', { cause: error });
  }
}
