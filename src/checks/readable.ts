import { hasCode, messageOf, RejectedError } from '../errors.ts';
import type { Check } from './check.ts';

/** What the kernel says where the bytes of a mounted image make no sense to it. */
const DAMAGED = ['EIO', 'EINVAL', 'EUCLEAN', 'EBADMSG'];

/**
 * A check that reads nothing but the mounted image: where that cannot be read the image is bad, and it is not the check
 * that could not be made.
 */
export function ofReadableImage(check: Check): Check {
  const run: Check['run'] = async (signal) => {
    try {
      return await check.run(signal);
    } catch (error) {
      if (!hasCode(error, ...DAMAGED)) throw error;
      throw new RejectedError(`the image cannot be read: ${messageOf(error)}`, { cause: error });
    }
  };
  return { ...check, run };
}
