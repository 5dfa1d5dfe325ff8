import { exitCodeOf } from '../report/control.ts';
import { chrootArgument } from './chroot-argument.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';
import { sayOutcomes } from './outcomes.ts';

/** `release NAME` */
export async function release(globals: GlobalOptions, name: string): Promise<number> {
  const { control, close } = await connect(globals, 'change');
  try {
    const outcomes = [await control.release(chrootArgument(name))];
    sayOutcomes(outcomes);
    return exitCodeOf(outcomes);
  } finally {
    await close();
  }
}
