import type { Strictness } from '../config/config.ts';
import { RejectedError } from '../errors.ts';
import { type Check, well } from './check.ts';
import type { MountOnce } from './mount-once.ts';

/** One thing that is wrong, in a line. `doubtful`: perhaps meant so; a warning also where others are refused. */
export type Fault = { text: string; weight: 'bad' | 'doubtful' };

/**
 * A check whose findings a site may take as warnings or as a reason to refuse the image; none with `off`.
 * @param find what is wrong with the image at `root`
 * @param none what to say where nothing is
 */
export function strictCheck(
  name: string,
  strictness: Strictness,
  image: MountOnce,
  find: (root: string, signal: AbortSignal) => Promise<readonly Fault[]>,
  none: string,
): Check[] {
  if (strictness === 'off') return [];
  const run: Check['run'] = async (signal) => {
    const faults = await find(await image.root(), signal);
    if (faults.length === 0) return well(none);
    const bad = faults.filter(({ weight }) => weight === 'bad').map(({ text }) => text);
    if (strictness === 'refuse' && bad.length > 0) throw new RejectedError(bad.join('; '));
    const warnings = faults.map(({ text }) => text);
    return { message: `${faults.length} ${faults.length === 1 ? 'warning' : 'warnings'}`, warnings };
  };
  return [{ name, run }];
}
