import { parseUntil } from '../decide/until.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf } from '../report/control.ts';
import { systemClock } from '../system/clock.ts';
import { chrootArgument } from './chroot-argument.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';
import { sayOutcomes } from './outcomes.ts';

/** `hold NAME [--until=TIME]` */
export async function hold(globals: GlobalOptions, name: string, options: { until?: string }): Promise<number> {
  const until = options.until === undefined ? null : momentOf(options.until);
  const { control, close } = await connect(globals, 'change');
  try {
    const outcomes = [await control.hold({ name: chrootArgument(name), until })];
    sayOutcomes(outcomes);
    return exitCodeOf(outcomes);
  } finally {
    await close();
  }
}

/** @throws UsageError when it is no moment to come */
function momentOf(text: string): string {
  const until = parseUntil(text, systemClock.now());
  if (until !== undefined) return new Date(until).toISOString();
  const allowed = 'allowed: a moment to come, such as 16:00, 2026-12-24, "2026-12-24 16:00", 2h or 3d';
  throw new UsageError(`cannot hold until ${JSON.stringify(text)} (${allowed})`);
}
