import { incrementalInProcess } from '../build/incremental/in-process.ts';
import { contentsInProcesses } from '../checks/sample.ts';
import { startDaemon } from '../daemon.ts';
import { createLog } from '../report/log.ts';
import { treeInProcess } from '../tree/in-process.ts';
import type { GlobalOptions } from './exit.ts';

/**
 * `watch`: the daemon. SIGTERM and SIGINT stop it, SIGHUP reads the config again.
 * @param programs where the bundled src/tree/walker.ts, src/checks/sample/comparer.ts and src/build/incremental/writer.ts
 * are, which lie beside the program
 */
export async function watch(
  { root = '', config }: GlobalOptions,
  programs: { walker: string; comparer: string; writer: string },
): Promise<number> {
  const log = await createLog({ destination: process.stdout.isTTY ? 'terminal' : 'json' });
  const tree = treeInProcess(programs.walker);
  const contents = contentsInProcesses(programs.comparer);
  const incremental = incrementalInProcess(programs.writer);
  // Before the start: a signal that comes during it must not end the process where it stands.
  const stopAsked = new Promise<void>((resolve) => {
    process.on('SIGTERM', () => resolve()).on('SIGINT', () => resolve());
  });
  let reload = (): void => {};
  process.on('SIGHUP', () => reload());
  const daemon = await startDaemon({ root, file: config, log, tree, contents, incremental });
  reload = () => void daemon.reload();
  await stopAsked;
  await daemon.stop();
  return 0;
}
