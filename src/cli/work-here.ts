import fs from 'node:fs';
import path from 'node:path';
import { incrementalInThread } from '../build/incremental/in-thread.ts';
import { contentsInProcesses } from '../checks/sample.ts';
import type { Config } from '../config/config.ts';
import { Caretakers } from '../jobs/caretakers.ts';
import { ImagesLock } from '../jobs/images-lock.ts';
import { JobQueue } from '../jobs/queue.ts';
import { recoverJobs } from '../jobs/recovery.ts';
import { createLog, type LogEvent } from '../report/log.ts';
import { printable } from '../report/printable.ts';
import type { Site } from '../steps/site.ts';
import { systemClock } from '../system/clock.ts';
import { treeInThread } from '../tree/in-thread.ts';
import { version } from '../version.ts';
import type { Connection } from './connect.ts';

/**
 * Does the work in this process, under the lock that a daemon would take.
 * @param purpose `look` reads only; `change` first undoes what a crash left half done
 */
export async function workHere(config: Config, purpose: 'look' | 'change'): Promise<Connection> {
  const log = { ...(await createLog({ destination: 'none' })), warn: say, error: say };
  const site: Site = {
    config,
    log,
    tree: treeInThread,
    contents: contentsInProcesses(besideProgram('content-comparer.js')),
    incremental: incrementalInThread,
    // who typed the command sees what comes of it
    notify: () => {},
    now: () => systemClock.now(),
  };
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
  // the lock would make a base directory that is not there
  if (purpose === 'change' && fs.existsSync(config.base)) await caretakers.recover();
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

/** What no answer to the command says: the rest of the log would say twice what came of it. */
const BESIDE: readonly LogEvent[] = [
  'chroot.problem',
  'image.aftermath',
  'recovery.done',
  'recovery.failed',
  'revert.waiting',
];

function say(event: LogEvent, _fields: unknown, message: string): void {
  if (BESIDE.includes(event)) process.stderr.write(`${printable(message)}\n`);
}

/** Another of the bundled programs: reading files for a second works beside this one, which has more to do. */
function besideProgram(file: string): string {
  return path.join(path.dirname(fs.realpathSync(process.argv[1] ?? '')), file);
}
