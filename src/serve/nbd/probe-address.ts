import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';

/**
 * Which of this machine's own addresses to look at nbd-server from. A connection to an own address comes from that
 * address; LTSP's nbd-server.allow has no loopback in it, so that one would be refused.
 * @param listening addresses that the server listens on; `::` and `0.0.0.0` are all
 * @param authfile who may connect; null, or a file that is not there: everyone (nbd-server(5))
 * @returns an allowed address, else one where the server at least says that it has the export
 */
export function probeHost(
  listening: readonly string[],
  authfile: string | null,
  own: readonly string[] = ownAddresses(),
): string {
  const everywhere = listening.some((address) => address === '0.0.0.0' || address === '::');
  const reachable = everywhere ? ['127.0.0.1', ...own] : [...listening];
  const fallback = reachable[0] ?? '127.0.0.1';
  const allowed = authfile === null ? null : allowList(authfile);
  if (allowed === null) return fallback;
  return reachable.find((address) => allowed.check(address, net.isIPv6(address) ? 'ipv6' : 'ipv4')) ?? fallback;
}

/** IPv4 first: that is what PXE clients have. Link-local ones of IPv6 need the interface's name as well. */
function ownAddresses(): string[] {
  const all = Object.values(interfaces()).flatMap((addresses) => addresses ?? []);
  const usable = all.filter(({ address }) => !address.startsWith('fe80:'));
  return usable.map(({ address }) => address).sort((one, other) => net.isIP(one) - net.isIP(other));
}

/** None where a sandbox keeps them from us: then loopback is what there is to look from. */
function interfaces(): ReturnType<typeof os.networkInterfaces> {
  try {
    return os.networkInterfaces();
  } catch {
    return {};
  }
}

/** One address or network (ADDRESS/BITS) a line; null where there is no such file or it cannot be read. Unreadable lines allow nobody. */
function allowList(authfile: string): net.BlockList | null {
  const lines = linesOf(authfile);
  if (lines === undefined) return null;
  const list = new net.BlockList();
  for (const line of lines) {
    const [address = '', bits] = line.replace(/#.*/, '').trim().split('/');
    const family = net.isIPv6(address) ? 'ipv6' : 'ipv4';
    const most = family === 'ipv6' ? 128 : 32;
    const prefix = bits === undefined ? most : Number(bits);
    if (net.isIP(address) === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > most) continue;
    list.addSubnet(address, prefix, family);
  }
  return list;
}

function linesOf(file: string): string[] | undefined {
  try {
    return fs.readFileSync(file, 'utf8').split('\n');
  } catch {
    return undefined;
  }
}
