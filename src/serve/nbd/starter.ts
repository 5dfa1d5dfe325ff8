import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { hasCode } from '../../errors.ts';
import { systemctl } from './systemctl.ts';

/** Who starts nbd-server: systemd, or a person with `command`. */
export type Starter = { kind: 'systemd' } | { kind: 'by-hand'; command: string };

/** systemd where it runs; below `--root` never, since its nbd-server is the machine's own. */
export function starterOf(config: Pick<Config, 'root'>): Starter {
  if (config.root !== '') {
    return { kind: 'by-hand', command: `nbd-server -C ${path.join(config.root, '/etc/nbd-server/config')}` };
  }
  // sd_booted(3)
  if (fs.existsSync('/run/systemd/system')) return { kind: 'systemd' };
  return { kind: 'by-hand', command: 'service nbd-server start' };
}

/** @throws UserError with what systemd says when it does not start; a server that is dead can count as started */
export async function startServer(signal?: AbortSignal): Promise<void> {
  await systemctl(['start', 'nbd-server'], signal);
}

/**
 * True when a new main process costs nobody anything: no client is connected, or systemd leaves their processes alone
 * (KillMode=process, as in the unit that Debian generates from the init script).
 * @param clients how many are connected
 * @throws UserError when systemd does not answer
 */
export async function mayReplaceMaster(clients: number, signal?: AbortSignal): Promise<boolean> {
  if (clients === 0) return true;
  const killMode = await systemctl(['show', '--property=KillMode', '--value', 'nbd-server'], signal);
  return killMode.trim() === 'process';
}

/**
 * Restarts the service; only where `mayReplaceMaster` says so.
 * @param master the main process while clients are connected: told to end as a service is stopped (SIGTERM) it would
 *   take them along, by SIGKILL it can't
 * @throws UserError with what systemd says
 */
export async function replaceMaster(master: number | null, signal?: AbortSignal): Promise<void> {
  if (master !== null) kill(master);
  await systemctl(['restart', 'nbd-server'], signal);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}
