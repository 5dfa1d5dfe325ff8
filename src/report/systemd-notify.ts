import { sendDatagram } from '../system/notify.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Tells systemd how the service is (sd_notify(3)): `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=…`, several joined by
 * newlines. Never throws: a service goes on without.
 * @returns false when nobody was told: not started by systemd, or it does not listen
 */
export function notifySystemd(state: string, env: Environment = process.env): boolean {
  const address = env.NOTIFY_SOCKET ?? '';
  if (address === '') return false;
  try {
    sendDatagram(address, state);
    return true;
  } catch {
    return false;
  }
}

/** Tells systemd that the config is being read again; `READY=1` has to follow. (`Type=notify-reload` wants the time.) */
export function notifyReloading(env: Environment = process.env): boolean {
  return notifySystemd(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`, env);
}

/** Milliseconds between two `WATCHDOG=1`, half of what systemd allows (sd_watchdog_enabled(3)); null when it does not ask. */
export function watchdogInterval(env: Environment): number | null {
  const limit = Number(env.WATCHDOG_USEC);
  if (!(limit > 0) || !Number.isFinite(limit)) return null;
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(process.pid)) return null;
  return Math.max(1, Math.floor(limit / 2000));
}
