import fs from 'node:fs';
import path from 'node:path';
import type { Chroot } from '../chroot/chroot.ts';
import { discover } from '../chroot/discover.ts';
import { describeMoment } from '../decide/moment.ts';
import { BusyError, UserError } from '../errors.ts';
import type { BuildRequest, Control, HoldRequest, Outcome, Progress } from '../report/control.ts';
import type { ChrootStatus, Status } from '../report/status.ts';
import type { Site } from '../steps/site.ts';
import { updateChrootState } from '../store/chroot-state.ts';
import { appendHistory, type HistoryEntry, readHistory } from '../store/history.ts';
import type { Clock } from '../system/clock.ts';
import { Turns } from '../system/turns.ts';
import { Caretaker } from './caretaker.ts';
import { chrootStatus } from './chroot-status.ts';
import { clientsByName } from './image-clients.ts';
import type { ImagesLock } from './images-lock.ts';
import type { JobQueue } from './queue.ts';

export type CaretakersParts = {
  /** With the config of this moment. */
  site: () => Site;
  queue: JobQueue;
  lock: ImagesLock;
  clock: Clock;
  /** What `status` says of the program itself. */
  head: () => Pick<Status, 'daemon' | 'config'>;
  onAppeared: (caretaker: Caretaker) => void;
  onGone: (caretaker: Caretaker) => Promise<void>;
};

/**
 * The caretakers of all chroots there are, and what a person can ask of them. The daemon has one with event sources; a
 * command that finds no daemon makes one for itself, without.
 */
export class Caretakers implements Control {
  readonly #parts: CaretakersParts;
  readonly #byName = new Map<string, Caretaker>();
  readonly #turns = new Turns();
  #closed = false;
  #problems: readonly string[] = [];

  constructor(parts: CaretakersParts) {
    this.#parts = parts;
  }

  get all(): readonly Caretaker[] {
    return [...this.#byName.values()];
  }

  /** Undoes what a crash left half done; when another program is at work that is left to it. */
  async recover(): Promise<void> {
    try {
      await this.#parts.lock.during('recover', new AbortController().signal, null, async () => {});
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      this.#parts
        .site()
        .log.info('chroot.waiting', {}, `${error.holder} is at work in ${this.#parts.site().config.base}`);
    }
  }

  /**
   * Finds the chroots there are now; takes new ones up and drops those that have gone.
   * @throws UsageError when two chroots have one name
   */
  rescan(): Promise<void> {
    return this.#turns.take(() => this.#rescan());
  }

  async #rescan(): Promise<void> {
    if (this.#closed) return;
    const { log, config } = this.#parts.site();
    const { chroots, problems } = await discover(config);
    for (const problem of problems.filter((one) => !this.#problems.includes(one))) {
      log.warn('chroot.problem', {}, problem);
    }
    this.#problems = problems;
    for (const caretaker of this.all) {
      const { name, path } = caretaker.chroot;
      if (chroots.some((chroot) => chroot.name === name && chroot.path === path)) continue;
      this.#byName.delete(name);
      log.info('chroot.gone', { name, path }, `${name}: ${path} is no chroot any more; its images stay`);
      await this.#parts.onGone(caretaker);
      await caretaker.close();
    }
    for (const chroot of this.#closed ? [] : chroots) {
      if (!this.#byName.has(chroot.name)) this.#takeUp(chroot);
    }
  }

  async status(): Promise<Status> {
    const site = this.#parts.site();
    const gone = imageNames(site).filter((name) => !this.#byName.has(name));
    const clients = clientsByName(site, [...this.#byName.keys(), ...gone]);
    const cared = this.all.map(({ chroot, activity }) =>
      chrootStatus(site, chroot, activity, clients.get(chroot.name)),
    );
    const absent = gone.map(
      (name): ChrootStatus => chrootStatus(site, { name, path: '' }, { kind: 'absent' }, clients.get(name)),
    );
    const chroots = [...cared, ...absent].sort((a, b) => (a.name < b.name ? -1 : 1));
    return { ...this.#parts.head(), chroots };
  }

  async history(name?: string): Promise<HistoryEntry[]> {
    const site = this.#parts.site();
    const entries = readHistory(site.config.paths, name);
    const clients = clientsByName(site, [...new Set(entries.map((entry) => entry.name))]);
    return entries.map((entry) => {
      const on =
        clients.get(entry.name)?.filter(({ image }) => entry.event === 'published' && image === entry.id) ?? [];
      return on.length === 0 ? entry : { ...entry, clients: on.map(({ address }) => address) };
    });
  }

  /** @throws UserError when there is no chroot, and something that should be one */
  async build(request: BuildRequest, onProgress: (progress: Progress) => void): Promise<Outcome[]> {
    await this.rescan();
    if (request.scope === 'all' && this.#byName.size === 0 && this.#problems.length > 0) {
      throw new UserError(`cannot build: there is no chroot in ${this.#parts.site().config.base}`);
    }
    const names = request.scope === 'all' ? this.all.map(({ chroot }) => chroot.name) : request.names;
    const asked = names.map(async (name): Promise<Outcome> => {
      const caretaker = this.#find(name);
      if (caretaker === undefined) return this.#unknown(name);
      // naming it says that it may go on; `--all` does not
      if (request.scope === 'named') updateChrootState(this.#parts.site().config.paths, caretaker.chroot.name, endHold);
      const { force, locks } = request;
      return caretaker.ask({ force, locks }, (text, percent) => {
        onProgress({ name: caretaker.chroot.name, text, percent });
      });
    });
    return Promise.all(asked);
  }

  async revert({ name, to }: { name: string; to: string | null }): Promise<Outcome> {
    const caretaker = this.#find(name);
    if (caretaker !== undefined) return caretaker.revert(to);
    const { site, queue, lock, clock } = this.#parts;
    if (!imageNames(site()).includes(name)) return this.#unknown(name);
    // the chroot has gone, but its images are there, and clients run on them
    const temporary = new Caretaker({ name, path: '' }, { site, queue, lock, clock });
    try {
      return await temporary.revert(to);
    } finally {
      await temporary.close();
    }
  }

  async release(name: string): Promise<Outcome> {
    const caretaker = this.#find(name);
    if (caretaker === undefined) return this.#unknown(name);
    const site = this.#parts.site();
    const { paths } = site.config;
    const found = caretaker.chroot.name;
    updateChrootState(paths, found, endHold);
    const message = `${found}: released; it is built again when it changes`;
    const at = new Date(site.now()).toISOString();
    appendHistory(paths, { at, name: found, event: 'released', id: null, reason: 'released by hand', message });
    site.log.info('chroot.released', { name: found }, message);
    caretaker.notice({ kind: 'look' });
    return { name: found, kind: 'released', message, id: null };
  }

  async hold({ name, until }: HoldRequest): Promise<Outcome> {
    const caretaker = this.#find(name);
    if (caretaker === undefined) return this.#unknown(name);
    const site = this.#parts.site();
    const { paths } = site.config;
    const found = caretaker.chroot.name;
    const since = new Date(site.now()).toISOString();
    const hold = { since, reason: 'held by hand', ...(until === null ? {} : { until }) };
    updateChrootState(paths, found, (state) => ({ ...state, hold }));
    const end = until === null ? '' : `${describeMoment(until)}, `;
    const message = `${found}: on hold until ${end}ltsp-autoimage release ${found} or build ${found}`;
    appendHistory(paths, { at: since, name: found, event: 'held', id: null, reason: hold.reason, message });
    site.log.info('chroot.held', { name: found, until }, message);
    caretaker.stopBuild(`${found} was put on hold`);
    return { name: found, kind: 'held', message, id: null };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.all.map((caretaker) => caretaker.close()));
    await this.#parts.queue.close();
  }

  #takeUp(chroot: Chroot): void {
    const { site, queue, lock, clock } = this.#parts;
    const caretaker = new Caretaker(chroot, { site, queue, lock, clock });
    this.#byName.set(chroot.name, caretaker);
    site().log.info('chroot.appeared', { ...chroot }, `${chroot.name}: looking after ${chroot.path}`);
    this.#parts.onAppeared(caretaker);
  }

  /** By name, or by the chroot's path. */
  #find(nameOrPath: string): Caretaker | undefined {
    if (!nameOrPath.includes('/')) return this.#byName.get(nameOrPath);
    const wanted = realPath(nameOrPath);
    return this.all.find((caretaker) => caretaker.chroot.path === wanted);
  }

  #unknown(name: string): Outcome {
    const { config } = this.#parts.site();
    const names = [...this.#byName.keys()];
    const known = names.length === 0 ? `there is no chroot in ${config.base}` : `there are ${names.join(', ')}`;
    const why = whyNone(name.includes('/') ? path.resolve(name) : path.join(config.base, name));
    return { name, kind: 'unknown', message: `no chroot ${name} (${why}${known})`, id: null };
  }
}

function endHold<T extends { hold: unknown }>(state: T): T & { hold: null } {
  return { ...state, hold: null };
}

/** Without symlinks, as the path of a chroot is. */
function realPath(file: string): string {
  try {
    return fs.realpathSync(file);
  } catch {
    return path.resolve(file);
  }
}

/** What keeps a directory from being a chroot, where it is one. */
function whyNone(directory: string): string {
  if (fs.existsSync(directory)) return `${directory} has no bin/true; `;
  const isLink = fs.lstatSync(directory, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? `${directory} is a link that leads nowhere; ` : '';
}

/** Names that have generations. */
function imageNames({ config }: Site): string[] {
  const directory = path.join(config.paths.images, '.generations');
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory);
}
