import path from 'node:path';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { UsageError } from '../errors.ts';
import { Caretakers } from '../jobs/caretakers.ts';
import { ImagesLock } from '../jobs/images-lock.ts';
import { JobQueue } from '../jobs/queue.ts';
import { recoverJobs } from '../jobs/recovery.ts';
import type { Control } from '../report/control.ts';
import { connectControl } from '../report/control-client.ts';
import { createLog } from '../report/log.ts';
import type { Site } from '../steps/site.ts';
import { systemClock } from '../system/clock.ts';
import { treeInThread } from '../tree/in-thread.ts';
import { version } from '../version.ts';
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
  return workHere(config, purpose);
}

function usualSocket({ root = '' }: GlobalOptions): string {
  return path.join(root === '' ? '/' : path.resolve(root), 'run/ltsp-autoimage/control.sock');
}

async function workHere(config: Config, purpose: 'look' | 'change'): Promise<Connection> {
  const log = await createLog({ destination: 'none' });
  const site: Site = { config, log, tree: treeInThread, now: () => systemClock.now() };
  const lock = new ImagesLock(config.paths.lock, 'ltsp-autoimage', () => recoverJobs(site));
  const caretakers = new Caretakers({
    site: () => site,
    queue: new JobQueue({ concurrency: config.jobs }),
    lock,
    clock: systemClock,
    head: () => ({ daemon: { running: false, version }, config: { ok: true } }),
    onAppeared: () => {},
    onGone: async () => {},
  });
  if (purpose === 'change') await caretakers.recover();
  await caretakers.rescan();
  // A person's Ctrl+C ends the job by undoing it, and lets go of everything.
  const stop = (): void => void caretakers.close();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    control: caretakers,
    close: async () => {
      process.off('SIGINT', stop).off('SIGTERM', stop);
      await caretakers.close();
    },
  };
}
