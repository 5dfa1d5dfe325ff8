import path from 'node:path';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { UsageError } from '../errors.ts';
import type { Control } from '../report/control.ts';
import { connectControl } from '../report/control-client.ts';
import { checkCron } from '../watch/schedule.ts';
import type { GlobalOptions } from './exit.ts';

/** The config that the options name. @throws UsageError when it is not valid */
export function configFor({ root = '', config }: GlobalOptions): Config {
  return loadConfig({ root, checkCron, ...(config === undefined ? {} : { file: config }) });
}

/** Whoever does the work: the daemon by its socket, or, where none runs, this process under the same lock. */
export type Connection = { control: Control; close: () => Promise<void> };

/**
 * @param purpose `look` reads only; `change` first finishes what a crash left
 * @throws UsageError when the config is not valid
 */
export async function connect(globals: GlobalOptions, purpose: 'look' | 'change'): Promise<Connection> {
  let config: Config;
  try {
    config = configFor(globals);
  } catch (error) {
    // a daemon goes on with the config it has, and says what is wrong with the new one
    const daemon = error instanceof UsageError ? await connectControl(usualSocket(globals)) : undefined;
    if (daemon === undefined) throw error;
    return { control: daemon, close: async () => {} };
  }
  const daemon = await connectControl(config.paths.control);
  if (daemon !== undefined) return { control: daemon, close: async () => {} };
  // most commands find a daemon, and need not load what builds images
  const { workHere } = await import('./work-here.ts');
  return workHere(config, purpose);
}

function usualSocket({ root = '' }: GlobalOptions): string {
  return path.join(root === '' ? '/' : path.resolve(root), 'run/ltsp-autoimage/control.sock');
}
