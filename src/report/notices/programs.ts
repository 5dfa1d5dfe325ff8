import path from 'node:path';
import { UserError } from '../../errors.ts';
import { runSiteProgram } from '../../system/site-program.ts';
import { type SkippedProgram, sitePrograms } from '../../system/site-programs.ts';
import { printable } from '../printable.ts';
import { eventOf } from './notice.ts';
import type { Receiver } from './receiver.ts';

/** Milliseconds that a program may take. */
const LIMIT = 60_000;

const DIRECTORY = 'notify.d';

/**
 * The site's programs in /etc/ltsp/autoimage.d/notify.d. Each gets the event as JSON on its standard input, and as
 * LTSP_AUTOIMAGE_EVENT, _NAME, _ID, _MESSAGE, _AT and _KEY in its environment.
 * @param root the `--root` directory, or ''
 */
export function notifyPrograms(root: string): { receivers: Receiver[]; skipped: SkippedProgram[] } {
  const parent = path.join(root, '/etc/ltsp/autoimage.d');
  const { names, skipped } = sitePrograms(path.join(parent, DIRECTORY));
  const receivers = names.map((name): Receiver => {
    const program = `${DIRECTORY}/${name}`;
    return {
      id: program,
      deliver: async (tidings, signal) => {
        const event = eventOf(tidings);
        const env = {
          LTSP_AUTOIMAGE_EVENT: tidings.kind,
          LTSP_AUTOIMAGE_NAME: tidings.name,
          LTSP_AUTOIMAGE_ID: tidings.id ?? '',
          LTSP_AUTOIMAGE_MESSAGE: tidings.message,
          LTSP_AUTOIMAGE_AT: tidings.at,
          LTSP_AUTOIMAGE_KEY: tidings.key,
        };
        const input = `${JSON.stringify(event)}\n`;
        const end = await runSiteProgram(parent, program, { env, input, timeout: LIMIT, signal });
        if (end.kind === 'failed') throw new UserError(`it ${printable(end.why)}`);
      },
    };
  });
  return { receivers, skipped };
}
