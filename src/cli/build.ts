import { UsageError } from '../errors.ts';
import { exitCodeOf } from '../report/control.ts';
import { chrootArgument } from './chroot-argument.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';
import { sayOutcomes } from './outcomes.ts';
import { progressLine } from './progress.ts';

export type BuildOptions = { all?: true; force?: true; wait: boolean };

/** `build [NAME|PATH…] [--all] [--force] [--no-wait]`; without a name it is `--all`. */
export async function build(globals: GlobalOptions, names: string[], options: BuildOptions): Promise<number> {
  if (options.all === true && names.length > 0) throw new UsageError('build takes names or --all, not both');
  const { control, close } = await connect(globals, 'change');
  const progress = progressLine(process.stderr);
  try {
    const request = {
      names: names.map(chrootArgument),
      scope: names.length === 0 ? 'all' : 'named',
      force: options.force === true ? 'force' : 'if changed',
      locks: options.wait ? 'wait' : 'no wait',
    } as const;
    const outcomes = await control.build(request, progress.show);
    progress.end();
    sayOutcomes(outcomes);
    return exitCodeOf(outcomes);
  } finally {
    progress.end();
    await close();
  }
}
