import fs from 'node:fs';
import { hasCode, messageOf } from '../errors.ts';
import { blindFileSystem } from './file-systems.ts';
import { type Mode, type Place, POLL_INTERVAL, type Watch, watchPlace } from './place.ts';
import type { Source } from './source.ts';

export type PlacesOptions = {
  /** The places as they are now; asked at the start and every minute. Directories that are not there are left out. */
  find: () => readonly Place[];
  poll: 'auto' | 'on' | 'off';
  onNotice: (text: string) => void;
};

/** Milliseconds after which it is seen that a directory came to be, or is another one than that which is watched. */
const RECHECK = 60_000;

/**
 * Watches places, each by itself, so that one in trouble does not blind the others. Falls back to polling where inotify
 * does not see or its watches run out, and says so once.
 */
export async function watchPlaces(options: PlacesOptions): Promise<Source> {
  const places = new Places(options);
  await places.recheck('start');
  return places;
}

type Watched = { place: Place; mode: Mode; watch: Promise<Watch> };

class Places implements Source {
  readonly #options: PlacesOptions;
  readonly #watched = new Map<string, Watched>();
  readonly #told = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(options: PlacesOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.recheck('running'), RECHECK);
  }

  get mode(): Mode {
    return [...this.#watched.values()].some(({ mode }) => mode === 'polling') ? 'polling' : 'inotify';
  }

  get watched(): string[] {
    return [...new Set([...this.#watched.values()].map(({ place }) => place.directory))];
  }

  /** Watches what has come to be and lets go of what has gone. */
  async recheck(when: 'start' | 'running'): Promise<void> {
    const found = this.#find();
    if (found === undefined) return;
    const gone = [...this.#watched].filter(([key]) => !found.has(key));
    for (const [key] of gone) this.#watched.delete(key);
    // first, since chokidar shares a watch between all who watch one path: a new directory would get the old one's
    await Promise.all(gone.map(([, { watch }]) => letGo(watch)));
    if (this.#closed) return;
    const fresh = [...found].filter(([key]) => !this.#watched.has(key));
    for (const [key, place] of fresh) this.#watch(key, place, this.#modeFor(place));
    await this.#started();
    if (this.#closed || when === 'start') return;
    for (const [, place] of fresh) place.onEntry('');
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    const watches = [...this.#watched.values()].map(({ watch }) => letGo(watch));
    this.#watched.clear();
    await Promise.all(watches);
  }

  /** By what tells a directory from another one that took its place; undefined when that cannot be found out now. */
  #find(): Map<string, Place> | undefined {
    try {
      const found = this.#options.find().flatMap((place): [string, Place][] => {
        const stats = fs.statSync(place.directory, { bigint: true, throwIfNoEntry: false });
        if (stats?.isDirectory() !== true) return [];
        return [[[place.label, place.directory, stats.dev, stats.ino].join('\0'), place]];
      });
      return new Map(found);
    } catch (error) {
      this.#tell(`cannot look for what to watch: ${messageOf(error)}`);
      return undefined;
    }
  }

  #watch(key: string, place: Place, mode: Mode): void {
    const former = this.#watched.get(key)?.watch;
    const alive = (): boolean => this.#watched.get(key) === watched;
    const heard: Place = { ...place, onEntry: (entry) => alive() && place.onEntry(entry) };
    const onTrouble = (error: Error): void => {
      if (alive()) this.#onTrouble(key, watched, error);
    };
    const begin = async (): Promise<Watch> => {
      if (former !== undefined) await letGo(former);
      return watchPlace(heard, mode, onTrouble);
    };
    const watched: Watched = { place, mode, watch: begin() };
    this.#watched.set(key, watched);
  }

  /** Resolves once none is being started any more, fallbacks included. */
  async #started(): Promise<void> {
    const awaited = new Set<Promise<Watch>>();
    for (;;) {
      const next = [...this.#watched.values()].find(({ watch }) => !awaited.has(watch));
      if (next === undefined) return;
      awaited.add(next.watch);
      await next.watch;
    }
  }

  #modeFor({ directory }: Place): Mode {
    const { poll } = this.#options;
    if (poll === 'on') return 'polling';
    const blind = blindNow(directory);
    if (blind === undefined) return 'inotify';
    return this.#insteadOfInotify(directory, `it is on ${blind}, where changes by others are not told of`);
  }

  #onTrouble(key: string, { place, mode }: Watched, error: Error): void {
    if (mode === 'polling') {
      this.#tell(`cannot poll all of ${place.directory}: ${messageOf(error)}; the regular look goes on`);
    } else if (this.#insteadOfInotify(place.directory, reasonOf(error)) === 'polling') {
      this.#watch(key, place, 'polling');
    }
  }

  #insteadOfInotify(directory: string, why: string): Mode {
    if (this.#options.poll === 'off') {
      this.#tell(`cannot watch ${directory}: ${why}; watch.poll is off, so that only the regular look finds changes`);
      return 'inotify';
    }
    this.#tell(`cannot watch ${directory}: ${why}; it is looked at every ${POLL_INTERVAL / 1000} s instead`);
    return 'polling';
  }

  #tell(text: string): void {
    if (this.#closed || this.#told.has(text)) return;
    this.#told.add(text);
    this.#options.onNotice(text);
  }
}

async function letGo(watch: Promise<Watch>): Promise<void> {
  await (await watch).close();
}

function blindNow(directory: string): string | undefined {
  try {
    return blindFileSystem(directory);
  } catch {
    // it vanished; the next look for places sees that
    return undefined;
  }
}

function reasonOf(error: Error): string {
  if (hasCode(error, 'ENOSPC')) return "inotify's watches have run out (raise the sysctl fs.inotify.max_user_watches)";
  if (hasCode(error, 'EMFILE')) {
    return "inotify's instances have run out (raise the sysctl fs.inotify.max_user_instances)";
  }
  return messageOf(error);
}
