import fs from 'node:fs';
import path from 'node:path';
import type { ImageWriter } from './build/incremental.ts';
import type { Contents } from './checks/sample.ts';
import { type Config, configOf } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import type { Cause } from './decide/event.ts';
import { messageOf, UserError } from './errors.ts';
import type { Caretaker } from './jobs/caretaker.ts';
import { Caretakers } from './jobs/caretakers.ts';
import { ImagesLock } from './jobs/images-lock.ts';
import { JobQueue } from './jobs/queue.ts';
import { recoverJobs } from './jobs/recovery.ts';
import { lookForSlowTrouble } from './jobs/slow-trouble.ts';
import { serveControl } from './report/control-server.ts';
import type { Log } from './report/log.ts';
import { Notifier } from './report/notices.ts';
import type { Status } from './report/status.ts';
import { notifyReloading, notifySystemd, watchdogInterval } from './report/systemd-notify.ts';
import type { Site } from './steps/site.ts';
import { readScheduleMemory, writeScheduleMemory } from './store/schedule-memory.ts';
import { systemClock } from './system/clock.ts';
import { makeDirectory } from './system/durable.ts';
import { FileLock } from './system/file-lock.ts';
import { Turns } from './system/turns.ts';
import type { Tree } from './tree/look.ts';
import { version } from './version.ts';
import { watchBase } from './watch/base-source.ts';
import { watchChroot } from './watch/chroot-source.ts';
import { watchFiles } from './watch/config-source.ts';
import { lookRegularly } from './watch/regular-look.ts';
import { checkCron, startSchedule } from './watch/schedule.ts';
import { watchTriggers } from './watch/trigger-source.ts';

export type DaemonOptions = {
  /** The `--root` directory, or ''. */
  root: string;
  file: string | undefined;
  log: Log;
  tree: Tree;
  contents: Contents;
  incremental: ImageWriter;
};

/** A running daemon. `stop` leaves nothing half done and resolves when nothing of it is left. */
export type Daemon = { reload: () => Promise<void>; stop: () => Promise<void> };

/** Something that was started and can be stopped. */
type Started = { close: () => Promise<void> | void };

/** Editors write in several steps: a config file is read again when it has been quiet for so many milliseconds. */
const CONFIG_QUIET = 300;

/** Milliseconds after which chroots are looked for, counted from a change in the base directory. */
const RESCANS = [0, 500, 2000, 10_000, 60_000];

/**
 * The composition root: wires sources, caretakers, queue and control socket, and owns their start and stop order.
 * @throws UsageError when the config is not valid; BusyError when another daemon looks after the same base directory
 */
export async function startDaemon({ root, file, log, tree, contents, incremental }: DaemonOptions): Promise<Daemon> {
  const load = (): Config => loadConfig({ root, checkCron, ...(file === undefined ? {} : { file }) });
  let config = load();
  let configError: string | undefined;
  const since = new Date().toISOString();
  const now = (): number => systemClock.now();
  const notify: Site['notify'] = (notice) => notifier.tell(notice);
  const site = (): Site => ({ config, log, tree, contents, incremental, notify, now });
  const onNotice = (text: string): void => log.warn('watch.notice', {}, text);

  const locks = takeDaemonLocks(config);
  const notifier = new Notifier({ config: () => config, log, clock: systemClock });
  const queue = new JobQueue({ concurrency: config.jobs });
  const turns = new Turns();
  let stopping = false;

  const head = (): Pick<Status, 'daemon' | 'config'> => ({
    daemon: { running: true, pid: process.pid, since, version },
    config: configError === undefined ? { ok: true } : { ok: false, error: configError },
  });
  const sources = new Map<Caretaker, Promise<Started>>();
  let first: 'start' | 'appeared' = 'start';
  const caretakers = new Caretakers({
    site,
    queue,
    lock: new ImagesLock(config.paths.lock, 'ltsp-autoimage', () => recoverJobs(site())),
    clock: systemClock,
    head,
    onAppeared: (caretaker) => {
      watch(caretaker);
      caretaker.notice({ kind: first });
    },
    onGone: unwatch,
  });

  function watch(caretaker: Caretaker): void {
    const { watch, check } = configOf(config, caretaker.chroot.name);
    sources.set(caretaker, watchEverything(caretaker, { ...watch, liveEvery: check.liveEvery }, onNotice));
  }

  async function unwatch(caretaker: Caretaker): Promise<void> {
    const source = sources.get(caretaker);
    sources.delete(caretaker);
    await (await source)?.close();
  }

  const rescan = (): Promise<void> =>
    caretakers.rescan().catch((error) => log.error('chroot.problem', {}, messageOf(error)));
  let cancelRescans: (() => void)[] = [];
  /** A directory becomes a chroot when bin/true comes into it, of which no event tells. */
  function rescanSoon(): void {
    for (const cancel of cancelRescans) cancel();
    cancelRescans = RESCANS.map((delay) => systemClock.after(delay, () => void rescan()));
  }

  function startNightly(): Started {
    const { lastRun } = readScheduleMemory(config.paths);
    // else a machine that is off every night would never count one as missed
    if (lastRun === null) rememberRun();
    const onRun = (when: 'on time' | 'missed'): void => {
      lookAtAll(when).catch((error) => log.error('schedule.run', { when }, messageOf(error)));
    };
    return startSchedule({ ...config.schedule, lastRun, now, onRun });
  }

  async function lookAtAll(when: 'on time' | 'missed'): Promise<void> {
    log.info('schedule.run', { when }, `nightly look at every chroot${when === 'missed' ? ', which was missed' : ''}`);
    rememberRun();
    await rescan();
    for (const caretaker of caretakers.all) {
      caretaker.notice({ kind: 'schedule' });
      void caretaker.lookAtLive('whole');
    }
  }

  /** On a full disk the worst that follows is one more look. */
  function rememberRun(): void {
    try {
      writeScheduleMemory(config.paths, { lastRun: now() });
    } catch (error) {
      log.warn('schedule.run', {}, `cannot remember the nightly look: ${messageOf(error)}`);
    }
  }

  async function watchConfig(): Promise<Started> {
    let cancel = (): void => {};
    const changed = (file: string): void => {
      cancel();
      cancel = systemClock.after(CONFIG_QUIET, () => void reload(file));
    };
    const source = await watchFiles(config.files, changed, onNotice);
    const close = (): Promise<void> => {
      cancel();
      return source.close();
    };
    return { close };
  }

  /** Takes a changed config up, one call after the other; one that is not valid leaves the former one in force. */
  function reload(changed?: string): Promise<void> {
    return turns
      .take(async () => (stopping ? undefined : reloadNow(changed)))
      .catch((error) => log.error('config.refused', {}, messageOf(error)));
  }

  async function reloadNow(changed?: string): Promise<void> {
    notifyReloading();
    const problem = takeConfigUp();
    configError = problem;
    if (problem === undefined) {
      log.info('config.loaded', {}, 'the config has been read again');
      await Promise.all([schedule.close(), files.close()]);
      schedule = startNightly();
      files = await watchConfig();
      for (const caretaker of caretakers.all) {
        await unwatch(caretaker);
        // it may have gone meanwhile
        if (!caretakers.all.includes(caretaker)) continue;
        watch(caretaker);
        caretaker.notice({ kind: 'config', path: changed ?? 'SIGHUP' });
      }
      await rescan();
    } else {
      log.error('config.refused', {}, `the config is not taken up, the former one stays in force: ${problem}`);
    }
    notifySystemd('READY=1');
  }

  /** Returns what is wrong with the config as it is now in the files. */
  function takeConfigUp(): string | undefined {
    try {
      const next = load();
      const places = ({ base, paths }: Config): string => JSON.stringify([base, paths]);
      if (places(next) !== places(config)) {
        const when = 'when the daemon starts again (systemctl restart ltsp-autoimage)';
        log.warn('config.loaded', {}, `another base or other paths are taken up ${when}; all else is in force now`);
      }
      config = Object.freeze({ ...next, base: config.base, paths: config.paths });
      queue.concurrency = config.jobs;
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  const started: Started[] = [];
  const stop = async (): Promise<void> => {
    stopping = true;
    notifySystemd('STOPPING=1');
    log.info('daemon.stopping', {}, 'stopping');
    // builds end at once, so that those who wait for one hear of it before the socket closes
    await caretakers.close();
    await turns.take(async () => {});
    for (const one of started.toReversed()) await one.close();
    await notifier.close();
    await Promise.all([...sources.keys()].map(unwatch));
    for (const one of locks) one.release();
  };
  let schedule: Started = { close: () => {} };
  let files: Started = { close: () => {} };
  try {
    await caretakers.recover();
    await caretakers.rescan();
    first = 'appeared';
    started.push({ close: () => schedule.close() }, { close: () => files.close() });
    started.push(await serveControl(config.paths.control, caretakers, { onError: onNotice }));
    started.push(
      await watchTriggers(config.paths.trigger, {
        onTrigger: ({ name, force }) => {
          const named = name === 'all' ? caretakers.all : caretakers.all.filter(({ chroot }) => chroot.name === name);
          if (named.length > 0) log.info('trigger.taken', { name, force }, `flag file ${name}: looking now`);
          else log.warn('trigger.unknown', { name }, `flag file ${name} is removed: there is no such chroot`);
          for (const caretaker of named) caretaker.notice({ kind: 'trigger', force });
        },
        onNotice,
      }),
      await watchBase(config.base, rescanSoon, onNotice),
    );
    const lookAround = async (): Promise<void> => {
      await rescan();
      lookForSlowTrouble(site(), caretakers.all);
    };
    const rescans = setInterval(() => void lookAround(), config.defaults.watch.lookEvery);
    started.push({
      close: () => {
        clearInterval(rescans);
        for (const cancel of cancelRescans) cancel();
      },
    });
    schedule = startNightly();
    files = await watchConfig();
    const interval = watchdogInterval(process.env);
    const watchdog = interval === null ? undefined : setInterval(() => notifySystemd('WATCHDOG=1'), interval);
    started.push({ close: () => clearInterval(watchdog) });
  } catch (error) {
    await stop();
    throw error;
  }
  notifySystemd('READY=1');
  log.info('daemon.started', { version, base: config.base }, `looking after the chroots of ${config.base}`);
  return { reload: () => reload(), stop };
}

/**
 * One daemon for one state directory and for one base directory. A base that is not there, perhaps because its disk is not
 * mounted, is waited for and not made.
 * @throws BusyError with the pid of the daemon that has it
 */
function takeDaemonLocks({ base, paths }: Config): FileLock[] {
  const holder = { pid: process.pid, program: 'ltsp-autoimage watch', what: `look after ${base}` };
  makeDirectory(paths.state);
  const locks = [FileLock.take(path.join(paths.state, 'daemon.lock'), holder)];
  if (!fs.existsSync(base)) return locks;
  try {
    makeDirectory(paths.images, 0o755);
    return [...locks, FileLock.take(path.join(paths.images, '.daemon.lock'), holder)];
  } catch (error) {
    for (const lock of locks) lock.release();
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot write to ${paths.images}: ${messageOf(error)}`, { cause: error });
  }
}

/** Events of a chroot's files, the regular look that finds what no event told of, and the one at what clients get. */
async function watchEverything(
  caretaker: Caretaker,
  settings: { paths: readonly string[]; poll: 'auto' | 'on' | 'off'; lookEvery: number; liveEvery: number },
  onNotice: (text: string) => void,
): Promise<Started> {
  const { path: directory } = caretaker.chroot;
  const { paths: extra, poll, lookEvery, liveEvery } = settings;
  const onDifference = (): void => caretaker.notice({ kind: 'look' });
  const looks = lookRegularly({ directory, extra, every: lookEvery, onDifference });
  const live = setInterval(() => void caretaker.lookAtLive('sample'), liveEvery);
  const onChange = (cause: Cause): void => caretaker.notice(cause);
  const events = await watchChroot({ path: directory, extra, poll, onChange, onNotice });
  const close = (): Promise<void> => {
    looks.close();
    clearInterval(live);
    return events.close();
  };
  return { close };
}
