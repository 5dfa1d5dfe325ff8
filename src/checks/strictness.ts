import type { Strictness } from '../config/config.ts';
import { RejectedError } from '../errors.ts';
import { type Check, well } from './check.ts';
import type { MountOnce } from './mount-once.ts';

/**
 * A check whose findings a site may take as warnings or as a reason to refuse the image; none with `off`.
 * @param find what is wrong with the image at `root`, a line each
 * @param none what to say where nothing is
 */
export function strictCheck(
  name: string,
  strictness: Strictness,
  image: MountOnce,
  find: (root: string, signal: AbortSignal) => Promise<readonly string[]>,
  none: string,
): Check[] {
  if (strictness === 'off') return [];
  const run: Check['run'] = async (signal) => {
    const lines = await find(await image.root(), signal);
    if (lines.length === 0) return well(none);
    if (strictness === 'refuse') throw new RejectedError(lines.join('; '));
    return { message: `${lines.length} ${lines.length === 1 ? 'warning' : 'warnings'}`, warnings: lines };
  };
  return [{ name, run }];
}
