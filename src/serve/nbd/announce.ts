import path from 'node:path';
import { CancelledError, hasCode, messageOf, UserError } from '../../errors.ts';
import type { Announcement, Means } from './announcement.ts';
import { clientsOn, listenerOn } from './listener.ts';
import { answers, type LookOptions, lookUntil } from './look-until.ts';
import type { ExportLook } from './probe.ts';
import type { ConfiguredNbdServer, NbdExport } from './server.ts';
import { mayReplaceMaster, replaceMaster, type Starter, startServer } from './starter.ts';

/**
 * Sees to it that nbd-server serves an export whose file is written, without losing a client. A running one is asked for
 * it; where it has no such export it is restarted while no client is connected, else it gets SIGHUP. That can break
 * nbd-server, so its exports are looked at afterwards. One that does not run is started.
 * @param server as read after the file was written
 * @throws CancelledError when `options.signal` ends it
 */
export async function announceExport(
  server: ConfiguredNbdServer,
  name: string,
  starter: Starter,
  options: LookOptions,
): Promise<Announcement> {
  const own = server.exports.find((one) => one.name === name);
  if (own === undefined) return notInConfig(server, name);
  try {
    return await announced({ server, own, starter, options });
  } catch (error) {
    // what waits is woken with an error of its own
    if (options.signal?.aborted === true) throw new CancelledError('asking nbd-server for the export was stopped');
    throw error;
  }
}

type Request = { server: ConfiguredNbdServer; own: NbdExport; starter: Starter; options: LookOptions };

async function announced(request: Request): Promise<Announcement> {
  const { server, own, starter, options } = request;
  const listener = listenerOn(server.port);
  if (listener.kind === 'other') {
    const why = `port ${server.port} is taken by ${listener.program}, process ${listener.pid}`;
    return { kind: 'by-hand', why, todo: `end it, or set another port in ${server.file}` };
  }
  if (listener.kind === 'nobody') return await start(request, 'nbd-server does not run');
  const look = await lookUntil(server, own, options, answers);
  const known = ifKnown(look, 'itself');
  if (known !== undefined) return known;
  if (look.kind !== 'unknown' || listener.kind === 'hidden') return byPerson(request, look);
  const problem = problemOf(server);
  if (problem !== undefined) return problem;
  if (starter.kind === 'systemd' && clientsOn(server.port).length === 0) {
    return await newMaster(request, listener.pid, 'nbd-server runs without this export');
  }
  return await reload(request, listener.pid);
}

/**
 * SIGHUP adds the sections that the server has not; its clients' children are not asked. nbd-server (3.20 to 3.24 at
 * least) frees what it adds and goes on using it: it may die, or live while each new client's child dies as soon as that
 * opens any export.
 */
async function reload(request: Request, master: number): Promise<Announcement> {
  const { server, own, options } = request;
  const before = await answering(request, server.exports);
  hangUp(master);
  const lives = (): boolean => {
    const now = listenerOn(server.port);
    return now.kind === 'nbd-server' && now.pid === master;
  };
  let drops = 0;
  const look = await lookUntil(server, own, options, ({ kind }) => {
    if (kind === 'ended') drops++;
    return !lives() || drops === 3 || kind === 'served' || kind === 'refused';
  });
  const known = ifKnown(look, 'reload');
  if (known !== undefined && lives()) {
    const after = await answering(request, before);
    if (after.length === before.length && lives()) return known;
  }
  // it has lost the name of what it added, or may not read the file; its other exports go on
  if (lives() && look.kind === 'unknown') return await unheard(request, master);
  return lives()
    ? await newMaster(request, master, 'nbd-server drops every new client since it read its config')
    : await newMaster(request, null, 'nbd-server died when it read its config');
}

/** A server that read its config and has no such export all the same: only a new main process has it. */
async function unheard(request: Request, master: number): Promise<Announcement> {
  const { server, own, starter, options } = request;
  const why = `it read its config and has not taken up ${own.definedIn}`;
  if (starter.kind === 'systemd' && (await mayReplaceMaster(clientsOn(server.port).length, options.signal))) {
    return await newMaster(request, master, why);
  }
  return { kind: 'by-hand', why, todo: restartLater(request, master) };
}

/** Those that the server opens or refuses to open; with the others it drops who asks. */
async function answering({ server, options }: Request, exports: readonly NbdExport[]): Promise<NbdExport[]> {
  const good: NbdExport[] = [];
  for (const one of exports) {
    if (answers(await lookUntil(server, one, { ...options, patience: 0 }, answers))) good.push(one);
  }
  return good;
}

async function start(request: Request, why: string): Promise<Announcement> {
  const { server, own, starter, options } = request;
  const clients = clientsOn(server.port).length;
  if (starter.kind === 'by-hand') return { kind: 'down', why, todo: `run: ${starter.command}`, clients };
  const problem = problemOf(server);
  if (problem !== undefined) return problem;
  try {
    await startServer(options.signal);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    return { kind: 'down', why: `${why}: ${messageOf(error)}`, todo: 'run: systemctl status nbd-server', clients };
  }
  const look = await lookUntil(server, own, options, answers);
  // a unit that "remains after exit" counts as started when its server has long died
  if (look.kind === 'unreachable') return await newMaster(request, null, `${why}: ${look.why}`);
  return ifKnown(look, 'start') ?? byPerson(request, look);
}

/**
 * Gives the server a new main process where that costs no client anything; else says what a person has to run.
 * @param master the present one, null when it is gone
 * @param why what is wrong with it
 */
async function newMaster(request: Request, master: number | null, why: string): Promise<Announcement> {
  const { server, own, starter, options } = request;
  if (master === null && listenerOn(server.port).kind === 'nbd-server') {
    // a unit may have systemd start it again by itself
    const again = ifKnown(await lookUntil(server, own, options, answers), 'restart');
    if (again !== undefined) return again;
  }
  const clients = clientsOn(server.port).length;
  if (starter.kind === 'by-hand') {
    return { kind: 'down', why, todo: byHand(starter.command, master), clients };
  }
  try {
    if (!(await mayReplaceMaster(clients, options.signal))) {
      return { kind: 'down', why, todo: restartLater(request), clients };
    }
    await replaceMaster(clients === 0 ? null : master, options.signal);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    return { kind: 'down', why: `${why}: ${messageOf(error)}`, todo: restartLater(request), clients };
  }
  const look = await lookUntil(server, own, options, answers);
  return ifKnown(look, 'restart') ?? byPerson(request, look);
}

function ifKnown(look: ExportLook, by: Means): Announcement | undefined {
  if (look.kind === 'served') return { kind: 'served', by };
  return look.kind === 'refused' ? { kind: 'refused', by, why: look.why } : undefined;
}

/** nbd-server takes nothing from a config in which a line is wrong, and does not start with it. */
function problemOf({ problems: [first] }: ConfiguredNbdServer): Announcement | undefined {
  return first === undefined ? undefined : { kind: 'by-hand', why: `it cannot read ${first}`, todo: 'repair that' };
}

function notInConfig(server: ConfiguredNbdServer, name: string): Announcement {
  const problem = problemOf(server);
  if (problem !== undefined) return problem;
  const why = `no file that it reads has a section [${name}]`;
  const confDir = path.join(path.dirname(server.file), 'conf.d');
  const todo =
    server.includedir === null
      ? `write "includedir = ${confDir}" into ${server.file}, section [generic]`
      : `write one into a file of ${server.includedir} whose name ends in .conf`;
  return { kind: 'by-hand', why, todo };
}

/** What we must not or cannot do ourselves. */
function byPerson(request: Request, look: ExportLook): Announcement {
  const { server } = request;
  const todo = restartLater(request);
  if (look.kind === 'unknown') return { kind: 'by-hand', why: 'it runs without this export', todo };
  const why = look.kind === 'served' ? 'it does not answer' : look.why;
  return { kind: 'down', why, todo, clients: clientsOn(server.port).length };
}

/** @param master the present main process, where it is known */
function restartLater({ server: { port }, starter }: Request, master: number | null = masterOf(port)): string {
  if (starter.kind === 'by-hand') return byHand(starter.command, master);
  const clients = clientsOn(port).length;
  const when = clients === 0 ? 'no client is connected now' : `once no client is connected, ${clients} are now`;
  return `run: systemctl restart nbd-server; ${when}`;
}

/** Who is connected has a process of nbd-server's to himself, which goes on when the main one is killed. */
function byHand(command: string, master: number | null): string {
  return `run: ${master === null ? '' : `kill -KILL ${master}; `}${command} (who is connected stays so)`;
}

function masterOf(port: number): number | null {
  const listener = listenerOn(port);
  return listener.kind === 'nbd-server' ? listener.pid : null;
}

function hangUp(pid: number): void {
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    // it ended just now, which the next look shows
    if (hasCode(error, 'ESRCH')) return;
    throw new UserError(`cannot tell nbd-server to read its config: ${messageOf(error)} (run this as root)`, {
      cause: error,
    });
  }
}
