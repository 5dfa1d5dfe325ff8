import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { CancelledError, messageOf } from '../../errors.ts';
import { keyFileValue } from '../../serve/nbd/key-file.ts';
import { listenerOn } from '../../serve/nbd/listener.ts';
import { CannotCheckError } from './cannot-check.ts';
import type { NbdServerIdentity } from './identity.ts';
import { type Keeper, keep, NotKeptError } from './keeper.ts';

export const LOOPBACK = '127.0.0.1';

/** An nbd-server that serves one file to this machine alone. */
export type PrivateServer = {
  port: number;
  /** The name of its export. Nobody can guess it, and a server that knows it is ours. */
  exportName: string;
  close: () => Promise<void>;
};

export type PrivateServerOptions = {
  /** The file that it serves, by an absolute path. */
  file: string;
  /** The path that it serves it by, as if it were there: the one that clients get it by. It need not exist. */
  servedAs: string;
  identity: NbdServerIdentity;
  /** An existing directory; its config and pid file lie in memory mounted there, which only it sees. */
  mountPoint: string;
  signal: AbortSignal;
};

/** Another program may take a port between our finding it free and nbd-server's taking it. */
const PORTS_TRIED = 5;

const BETWEEN_LOOKS = 10;

/**
 * $1 is the private directory, $2 the file and $3 the path to serve it by: a directory like the one there is laid over it,
 * with nothing but the file in it. The config comes on standard input, since arguments are for everyone to see.
 * nbd-server goes into the background. Root's own groups would let it read what the real one may not.
 */
const SCRIPT = `
cat > "$1/config"
if [ "$2" != "$3" ]; then
  directory=$(dirname -- "$3")
  looks=$(stat --format='%a %u:%g' -- "$directory")
  : > "$1/image"
  mount --bind -- "$2" "$1/image"
  mount -t tmpfs -o size=64k tmpfs "$directory"
  chown "\${looks#* }" "$directory"
  chmod "\${looks% *}" "$directory"
  : > "$3"
  mount --bind -- "$1/image" "$3"
fi
setpriv --clear-groups -- nbd-server -C "$1/config" -p "$1/pid" >&2 &
starter=$!
ready
wait "$starter"
`;

/**
 * Starts nbd-server on a free port of the loopback address, and waits until it listens there.
 * @param freePort gives a port that is probably free
 * @throws CannotCheckError when it does not start; CancelledError
 */
export async function startPrivateServer(
  options: PrivateServerOptions,
  freePort: () => Promise<number> = anyFreePort,
): Promise<PrivateServer> {
  let why = '';
  for (let tried = 0; tried < PORTS_TRIED; tried++) {
    const port = await freePort();
    const outcome = await startOn(port, options);
    if (outcome.kind === 'listens') return outcome.server;
    why = outcome.why;
  }
  throw new CannotCheckError(`cannot start an nbd-server of our own: ${why}`);
}

type Start = { kind: 'listens'; server: PrivateServer } | { kind: 'no'; why: string };

async function startOn(port: number, options: PrivateServerOptions): Promise<Start> {
  const exportName = randomBytes(16).toString('hex');
  const keeper = await kept(configOf(port, exportName, options), options);
  try {
    const seen = await seenOn(port, keeper, options.signal);
    if (seen === 'ours') {
      return { kind: 'listens', server: { port, exportName, close: keeper.close } };
    }
    await keeper.close();
    return { kind: 'no', why: seen };
  } catch (error) {
    await keeper.close();
    throw error;
  }
}

async function kept(config: string, { file, servedAs, mountPoint, signal }: PrivateServerOptions): Promise<Keeper> {
  try {
    return await keep(SCRIPT, [mountPoint, file, servedAs], { input: config, signal });
  } catch (error) {
    if (!(error instanceof NotKeptError)) throw error;
    throw new CannotCheckError(`cannot start an nbd-server of our own: ${messageOf(error)}`, { cause: undefined });
  }
}

/** 'ours' once the server listens; else, in words, why it never will. Its exit status is 0 even with the port taken. */
async function seenOn(port: number, keeper: Keeper, signal: AbortSignal): Promise<string> {
  const own = pidNamespace(keeper.pid) ?? 'none';
  let taken: string | undefined;
  let end: string | undefined;
  void keeper.ended.then((said) => {
    end = said === '' ? 'it ended at once (the system log has its reason)' : said;
  });
  for (;;) {
    const listener = listenerOn(port);
    if (listener.kind === 'nbd-server' || listener.kind === 'other') {
      if (pidNamespace(listener.pid) === own) return 'ours';
      taken = `port ${port} is taken by process ${listener.pid}`;
    }
    if (signal.aborted) throw new CancelledError('starting nbd-server was stopped');
    if (end !== undefined) return taken ?? end;
    await delay(BETWEEN_LOOKS);
  }
}

/** null once the process has ended. */
function pidNamespace(pid: number): string | null {
  try {
    return fs.readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null;
  }
}

/** nbd-server(5). `virtstyle`: a %s in a file's name is no place for the client's address. */
function configOf(port: number, exportName: string, { servedAs, identity }: PrivateServerOptions): string {
  const { user, group } = identity;
  const lines = ['[generic]', `port = ${port}`, `listenaddr = ${LOOPBACK}`, 'allowlist = false'];
  if (user !== null) lines.push(`user = ${keyFileValue(user)}`);
  if (group !== null) lines.push(`group = ${keyFileValue(group)}`);
  lines.push(`[${exportName}]`, `exportname = ${keyFileValue(servedAs)}`, 'readonly = true', 'virtstyle = none');
  return `${lines.join('\n')}\n`;
}

async function anyFreePort(): Promise<number> {
  const server = net.createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('internal error: a TCP server has no port');
  return address.port;
}
