import { renderStatus } from '../report/status.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';

/** `status [--json]` */
export async function status(globals: GlobalOptions, options: { json?: true }): Promise<number> {
  const { control, close } = await connect(globals, 'look');
  try {
    const now = await control.status();
    if (options.json === true) {
      process.stdout.write(`${JSON.stringify(now, null, 2)}\n`);
      return 0;
    }
    const colour = process.stdout.isTTY && (process.env.NO_COLOR ?? '') === '' ? 'colour' : 'plain';
    process.stdout.write(renderStatus(now, { now: Date.now(), width: process.stdout.columns ?? 100, colour }));
    return 0;
  } finally {
    await close();
  }
}
