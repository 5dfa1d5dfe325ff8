import type { Config } from '../../config/config.ts';
import { connectControl } from '../../report/control-client.ts';
import type { Connection } from '../connect.ts';
import type { Selected } from './chroots.ts';
import type { Request } from './options.ts';

/**
 * Whoever does the request. A daemon on the same base directory does what it would do in the same way by itself; what is for
 * this call alone is done here, in turn with the daemon, since both take the images' lock.
 * @param site the config that a daemon has, too
 * @param onNotice told in words when there is a daemon
 */
export async function workerFor(
  request: Request,
  site: Config,
  { config, further }: Selected,
  onNotice: (text: string) => void,
): Promise<Connection> {
  const daemon = config.base === site.base ? await connectControl(site.paths.control) : undefined;
  const own = onlyHere(request, further);
  if (daemon !== undefined && own.length === 0) {
    onNotice(`ltsp-autoimage is running for ${config.base} and does the work`);
    return { control: daemon, close: async () => {} };
  }
  if (daemon !== undefined) {
    const what = own.join(', ');
    onNotice(
      `ltsp-autoimage is running for ${config.base}; the work is done here, when it has none, because of ${what} ` +
        '(it builds with the config alone: what is to last belongs in /etc/ltsp/ltsp-update-image.conf)',
    );
  }
  const { workHere } = await import('../work-here.ts');
  return workHere(config, 'change');
}

/** What of the work a daemon would do otherwise, as options. */
function onlyHere(request: Request, further: readonly string[]): string[] {
  if (request.kind === 'revert') return [...further];
  const { compression, exclude, backup, cleanup } = request.settings;
  return [
    ...(cleanup === undefined ? [] : ['--cleanup']),
    ...(request.exporting === 'by option' ? ['--config-nbd'] : []),
    ...(compression === undefined ? [] : [compression === 'none' ? '--no-compress' : '--compression']),
    ...(exclude === undefined ? [] : ['--exclude']),
    ...(backup === undefined ? [] : ['--no-backup']),
    ...further,
  ];
}
