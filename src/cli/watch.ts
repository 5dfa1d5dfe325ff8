import { startDaemon } from '../daemon.ts';
import { createLog } from '../report/log.ts';
import { treeInWorker } from '../tree/in-worker.ts';
import type { GlobalOptions } from './exit.ts';

/**
 * `watch`: the daemon. SIGTERM and SIGINT stop it, SIGHUP reads the config again.
 * @param treeWorker the bundled src/tree/worker.ts, which lies beside the program
 */
export async function watch({ root = '', config }: GlobalOptions, treeWorker: URL): Promise<number> {
  const log = await createLog({ destination: process.stdout.isTTY ? 'terminal' : 'json' });
  const tree = treeInWorker(treeWorker);
  const daemon = await startDaemon({ root, file: config, log, tree });
  process.on('SIGHUP', () => void daemon.reload());
  await new Promise<void>((resolve) => {
    process.on('SIGTERM', () => resolve()).on('SIGINT', () => resolve());
  });
  await daemon.stop();
  return 0;
}
