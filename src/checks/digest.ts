import { RejectedError } from '../errors.ts';
import { digestOf } from '../store/digest.ts';
import { type Check, well } from './check.ts';

/**
 * The file's SHA-256 is the one that was recorded. It finds every change of a byte since then: of zstd images 14 of 16
 * flipped bits pass each other check.
 */
export function digestCheck(file: string, recorded: string): Check {
  return {
    name: 'digest',
    run: async (signal) => {
      const { digest, size } = await digestOf(file, signal);
      if (digest === recorded) return well(`${size} bytes have the recorded digest`);
      throw new RejectedError(
        `${file} has not the bytes that were written: its digest is ${digest}, recorded is ${recorded}`,
      );
    },
  };
}
