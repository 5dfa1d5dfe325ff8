import { exitCodeOf } from '../report/control.ts';
import { chrootArgument } from './chroot-argument.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';
import { sayOutcomes } from './outcomes.ts';

/** `revert NAME [--to=ID]` */
export async function revert(globals: GlobalOptions, name: string, options: { to?: string }): Promise<number> {
  const { control, close } = await connect(globals, 'change');
  try {
    const outcomes = [await control.revert({ name: chrootArgument(name), to: options.to ?? null })];
    sayOutcomes(outcomes);
    return exitCodeOf(outcomes);
  } finally {
    await close();
  }
}
