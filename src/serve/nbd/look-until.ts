import { setTimeout as delay } from 'node:timers/promises';
import { type ExportLook, lookAtExport } from './probe.ts';
import { probeHost } from './probe-address.ts';
import type { ConfiguredNbdServer, NbdExport } from './server.ts';

export type LookOptions = {
  /** Milliseconds that each answer may take. */
  answer: number;
  /** Milliseconds after which what is seen counts, whatever it is. */
  patience: number;
  signal?: AbortSignal | undefined;
};

const BETWEEN_LOOKS = 50;

/** Looks at an export again and again until `enough` says so or patience ends, and gives the last look. */
export async function lookUntil(
  server: ConfiguredNbdServer,
  { name, authfile }: NbdExport,
  { answer, patience, signal }: LookOptions,
  enough: (look: ExportLook) => boolean,
): Promise<ExportLook> {
  const address = { host: probeHost(server.addresses, authfile), port: server.port };
  const end = performance.now() + patience;
  for (;;) {
    const look = await lookAtExport(address, name, { timeout: answer, signal });
    if (enough(look) || performance.now() >= end) return look;
    await delay(BETWEEN_LOOKS, undefined, { signal });
  }
}

/** True for every look that a server has answered, with yes or no. */
export function answers({ kind }: ExportLook): boolean {
  return ['served', 'refused', 'unknown', 'tls', 'protocol'].includes(kind);
}
