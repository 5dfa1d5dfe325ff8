import path from 'node:path';
import type { Config } from '../config/config.ts';
import { type ExportLook, lookAtExport } from './nbd/probe.ts';
import { probeHost } from './nbd/probe-address.ts';
import { readNbdServer } from './nbd/server.ts';

/** Where clients get an image over NBD: the address that this machine may look from, and the export's name. */
export type LiveExport = { address: { host: string; port: number }; name: string };

/** How clients' way to an image looks: there is an export and this is what it answers, or there is none. */
export type LiveLook = ExportLook | { kind: 'no export' };

/**
 * The export that nbd-server's config has for an image file, whatever it is called and whoever wrote it; null where there
 * is none, or no nbd-server.
 * @param image absolute, under `--root`
 */
export function liveExportOf(config: Pick<Config, 'root'>, image: string): LiveExport | null {
  const server = readNbdServer(config);
  if (server.kind !== 'configured') return null;
  // our own exports name the real path; one that was written for the system below --root names it as it is there
  const own = server.exports.find((one) => [one.image, path.join(config.root, one.image ?? '')].includes(image));
  if (own === undefined) return null;
  return { address: { host: probeHost(server.addresses, own.authfile), port: server.port }, name: own.name };
}

/** Opens the export of an image once, as a client does when it boots. */
export async function lookAtLive(
  config: Pick<Config, 'root'>,
  image: string,
  options: { timeout: number; signal: AbortSignal },
): Promise<LiveLook> {
  const live = liveExportOf(config, image);
  if (live === null) return { kind: 'no export' };
  return lookAtExport(live.address, live.name, options);
}
