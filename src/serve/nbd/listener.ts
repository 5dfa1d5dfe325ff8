import fs from 'node:fs';
import path from 'node:path';

/** Who listens on a TCP port of this network namespace. `hidden`: somebody, but /proc does not show us who. */
export type Listener =
  | { kind: 'nobody' }
  | { kind: 'nbd-server'; pid: number }
  | { kind: 'other'; pid: number; program: string }
  | { kind: 'hidden' };

/** A client of nbd-server: the child that serves it, and the addresses of both ends. */
export type NbdConnection = { pid: number; client: string };

/**
 * The master of nbd-server on a port, found by the inode of its listening socket: the pid file is written even by one
 * that could not bind, and stays when the master dies.
 */
export function listenerOn(port: number): Listener {
  const listening = socketsOn(port).filter(({ state }) => state === LISTEN);
  if (listening.length === 0) return { kind: 'nobody' };
  const holders = holdersOf(new Set(listening.map(({ inode }) => inode)));
  const pids = new Set(holders.map(({ pid }) => pid));
  // a child that was forked this moment still holds its parent's sockets
  const master = holders.find(({ pid }) => !pids.has(parentOf(pid) ?? 0));
  if (master === undefined) return { kind: 'hidden' };
  const program = programOf(master.pid);
  if (program === undefined) return { kind: 'hidden' };
  return program === 'nbd-server' ? { kind: 'nbd-server', pid: master.pid } : { kind: 'other', ...master, program };
}

/** The clients that nbd-server serves on a port. They are there, too, when their server's master has died. */
export function clientsOn(port: number): NbdConnection[] {
  const connected = new Map<string, string>();
  for (const { state, inode, remote } of socketsOn(port)) {
    if (state === ESTABLISHED) connected.set(inode, remote);
  }
  return holdersOf(new Set(connected.keys()))
    .filter(({ pid }) => programOf(pid) === 'nbd-server')
    .map(({ pid, inode }) => ({ pid, client: connected.get(inode) ?? '' }));
}

/** proc(5), /proc/net/tcp: states */
const LISTEN = '0A';
const ESTABLISHED = '01';

type TcpSocket = { state: string; inode: string; remote: string };

/** Sockets whose own end has this port (proc(5), /proc/net/tcp and tcp6). */
function socketsOn(port: number): TcpSocket[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['tcp', 'tcp6'].flatMap((table) =>
    lines(`/proc/self/net/${table}`)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local]) => local?.endsWith(suffix))
      .map(([, , remote = '', state = '', , , , , , inode = '']) => ({ state, inode, remote: addressOf(remote) })),
  );
}

/** Which processes hold one of these sockets; what /proc keeps from us is left out. */
function holdersOf(inodes: ReadonlySet<string>): { pid: number; inode: string }[] {
  if (inodes.size === 0) return [];
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    const links = orNothing(() => fs.readdirSync(`/proc/${pid}/fd`)) ?? [];
    const sockets = links.map((fd) => orNothing(() => fs.readlinkSync(path.join('/proc', pid, 'fd', fd))));
    const held = new Set(sockets.map((link) => /^socket:\[(\d+)\]$/.exec(link ?? '')?.[1] ?? ''));
    return [...held].filter((inode) => inodes.has(inode)).map((inode) => ({ pid: Number(pid), inode }));
  });
}

function programOf(pid: number): string | undefined {
  return lines(`/proc/${pid}/comm`)[0];
}

/** proc(5), /proc/PID/stat: the second field after the name, which stands in parentheses and may have any character. */
function parentOf(pid: number): number | undefined {
  const parent = /^.*\) \S (\d+) /s.exec(lines(`/proc/${pid}/stat`).join('\n'))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** `0100007F:2A39` is 127.0.0.1: 32 bits at a time, each in the machine's own order, which is little-endian here. */
function addressOf(hex: string): string {
  const words = (hex.split(':', 1)[0] ?? '').match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)));
  const mapped = bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255;
  if (bytes.length === 4 || mapped) return bytes.slice(-4).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[2 * at] ?? 0) << 8) | (bytes[2 * at + 1] ?? 0));
  return groups.map((group) => group.toString(16)).join(':');
}

function lines(file: string): string[] {
  return (orNothing(() => fs.readFileSync(file, 'utf8')) ?? '').split('\n').filter(Boolean);
}

/** Processes end while we look, and some keep their files from us. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
