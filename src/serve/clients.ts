import fs from 'node:fs';
import net from 'node:net';
import { clientsOn } from './nbd/listener.ts';

/** A file whatever its name: device and inode, as stat(2) gives them. */
export type FileIdentity = { dev: bigint; ino: bigint };

/** One client that runs on an image file. */
export type ImageClient = {
  file: FileIdentity;
  /** The name that nbd-server opened it by, which may be another image's by now; null once it has no name at all. */
  openedAs: string | null;
  /** IPv4 or IPv6, in its shortest form. */
  address: string;
  /** Since when it is connected, in milliseconds since the epoch, to the second. */
  since: number;
  /** nbd-server's process for this client. */
  pid: number;
};

/** The identity that a path has now; undefined where there is nothing. A symlink is not followed. */
export function fileIdentity(file: string): FileIdentity | undefined {
  const stats = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : { dev: stats.dev, ino: stats.ino };
}

/**
 * The clients that run on these files, over the nbd-server on `port`.
 * @param files those of paths come from `fileIdentity`; a file needs no name any more
 */
export function clientsOf(files: readonly FileIdentity[], port: number): ImageClient[] {
  const wanted = new Set(files.map(keyOf));
  return imageClients(port).filter(({ file }) => wanted.has(keyOf(file)));
}

/**
 * All clients of the nbd-server on `port` that have opened an export, one for each file that it serves them. It forks for
 * each client and opens the file for it alone, so a client stays on the file that its export was when it connected.
 * What ends while we look, and what /proc keeps from us, is left out.
 */
export function imageClients(port: number): ImageClient[] {
  return clientsOn(port).flatMap(({ pid, client }) => {
    const since = startOf(pid);
    if (since === undefined) return [];
    return openFiles(pid).map((open) => ({ ...open, address: shortest(client), since, pid }));
  });
}

function keyOf({ dev, ino }: FileIdentity): string {
  return `${dev}:${ino}`;
}

type OpenFile = Pick<ImageClient, 'file' | 'openedAs'>;

/** The regular files, and block devices, that a process has open (proc(5), /proc/PID/fd). */
function openFiles(pid: number): OpenFile[] {
  const files = new Map<string, OpenFile>();
  for (const fd of orNothing(() => fs.readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const link = `/proc/${pid}/fd/${fd}`;
    const stats = orNothing(() => fs.statSync(link, { bigint: true }));
    const name = orNothing(() => fs.readlinkSync(link));
    if (stats === undefined || name === undefined || !(stats.isFile() || stats.isBlockDevice())) continue;
    const file = { dev: stats.dev, ino: stats.ino };
    files.set(keyOf(file), { file, openedAs: stats.nlink === 0n ? null : name.replace(/ \(deleted\)$/, '') });
  }
  return [...files.values()];
}

/** USER_HZ, in which /proc counts; the kernel fixes it for programs whatever its own clock is. */
const TICKS_PER_SECOND = 100;

/** When a process was started (proc(5), /proc/PID/stat, starttime: ticks since boot). */
function startOf(pid: number): number | undefined {
  const stat = orNothing(() => fs.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // the name stands in parentheses and may have any character; starttime is the 22nd field, the 20th behind it
  const ticks = Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  const boot = Number(/^btime (\d+)$/m.exec(fs.readFileSync('/proc/stat', 'utf8'))?.[1]);
  return Number.isFinite(ticks) ? (boot + Math.floor(ticks / TICKS_PER_SECOND)) * 1000 : undefined;
}

function shortest(address: string): string {
  return net.isIPv6(address) ? new net.SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** Processes end while we look, and some keep their files from us. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
