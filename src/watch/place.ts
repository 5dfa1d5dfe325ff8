import path from 'node:path';
import { type FSWatcher, watch } from 'chokidar';

/** A directory to watch. */
export type Place = {
  /** Tells places apart; several can be in one directory. */
  label: string;
  /** Absolute, free of symlinks. */
  directory: string;
  /** `entries`: what is directly in it; `tree`: what is below it in any depth. */
  reach: 'entries' | 'tree';
  /** Which names in it count; asked for `entries` alone. */
  wants: (name: string) => boolean;
  /** Told of what changed, relative to the directory; '' when the directory itself came to be. */
  onEntry: (entry: string) => void;
};

export type Mode = 'inotify' | 'polling';

export type Watch = { close: () => Promise<void> };

/** Milliseconds between two looks where inotify does not help. */
export const POLL_INTERVAL = 5_000;

/** Milliseconds: a directory that takes longer to be read tells of its changes all the same, only later. */
const LONGEST_START = 10_000;

/**
 * Watches a place; resolves once changes are told of.
 * @param onTrouble called with every error; the watch may be blind from then on
 */
export async function watchPlace(place: Place, mode: Mode, onTrouble: (error: Error) => void): Promise<Watch> {
  const { directory, reach } = place;
  const watcher = watch(directory, {
    ignoreInitial: true,
    followSymlinks: false,
    atomic: false,
    usePolling: mode === 'polling',
    interval: POLL_INTERVAL,
    binaryInterval: POLL_INTERVAL,
    ...(reach === 'entries' ? { depth: 0 } : {}),
    ignored: (file, stats) => file !== directory && !isWatchedItself(place, mode, file, stats),
  });
  const tell = (file: string): void => {
    const entry = path.relative(directory, file);
    if (entry !== '' && (reach === 'tree' || place.wants(entry))) place.onEntry(entry);
  };
  watcher.on('error', (error) => onTrouble(error instanceof Error ? error : new Error(String(error))));
  if (mode === 'inotify') onInotify(watcher, tell);
  else onPoll(watcher, tell);
  await started(watcher);
  return { close: () => closeQuietly(watcher) };
}

/**
 * Whether chokidar is to set a watch on something in a place. With inotify a directory tells of each file in it, so that
 * a watch per file would be waste; to poll, each file has to be looked at.
 */
function isWatchedItself(
  { reach, wants }: Place,
  mode: Mode,
  file: string,
  stats: { isDirectory: () => boolean } | undefined,
): boolean {
  if (mode === 'polling') return reach === 'tree' || wants(path.basename(file));
  return reach === 'tree' && (stats === undefined || stats.isDirectory());
}

/**
 * What the kernel says, as it is. Chokidar's own events are for files it has a watch on, and it drops some of what
 * happens to a file within milliseconds.
 */
function onInotify(watcher: FSWatcher, tell: (file: string) => void): void {
  watcher.on('raw', (_event: unknown, name: unknown, details: unknown) => {
    if (typeof name !== 'string' || typeof details !== 'object' || details === null) return;
    if ('watchedPath' in details && typeof details.watchedPath === 'string') tell(path.join(details.watchedPath, name));
  });
}

/** Here `raw` is any difference that stat shows; what appears or vanishes comes by `all`. */
function onPoll(watcher: FSWatcher, tell: (file: string) => void): void {
  watcher.on('raw', (_event: unknown, file: unknown) => {
    if (typeof file === 'string') tell(file);
  });
  watcher.on('all', (event, file) => {
    if (event !== 'change') tell(file);
  });
}

/** An error may keep chokidar from ever being ready. */
function started(watcher: FSWatcher): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LONGEST_START);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    watcher.once('ready', done);
    watcher.once('error', done);
  });
}

/** Closing takes the listeners away, and an error that comes later would end the process. */
function closeQuietly(watcher: FSWatcher): Promise<void> {
  const closed = watcher.close();
  watcher.on('error', () => {});
  return closed;
}
