import { onTestFinished } from 'vitest';
import { incrementalInThread } from '../../src/build/incremental/in-thread.ts';
import { contentsInThread } from '../../src/checks/sample.ts';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { configOf } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Log } from '../../src/report/log.ts';
import type { Notice } from '../../src/report/notices/notice.ts';
import type { RebuildJob, Site } from '../../src/steps/site.ts';
import { newId } from '../../src/store/records.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import type { Tree } from '../../src/tree/look.ts';
import { checkCron } from '../../src/watch/schedule.ts';
import { Server } from '../end-to-end/server.ts';

/** A log that remembers. */
export class Remembered {
  readonly events: { event: string; message: string }[] = [];
  /** What was to be told to people, said before or not. */
  readonly notices: Notice[] = [];
  #wake: (() => void)[] = [];
  readonly log: Log;

  constructor() {
    const tell: Log['info'] = (event, _fields, message) => {
      this.events.push({ event, message });
      for (const wake of this.#wake.splice(0)) wake();
    };
    this.log = { debug: tell, info: tell, warn: tell, error: tell };
  }

  /** The message of the first event of that name at or after `from`, once it comes. */
  async next(event: string, from = 0): Promise<string> {
    for (;;) {
      const found = this.events.slice(from).find((one) => one.event === event);
      if (found !== undefined) return found.message;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  count(event: string): number {
    return this.events.filter((one) => one.event === event).length;
  }
}

export type TestSite = { site: Site; told: Remembered; server: Server; makeChroot: (name: string) => Promise<Chroot> };

/** A site on a server of its own, which goes when the test has finished. @param toml our config */
export function makeSite(toml = '', tree: Tree = treeInThread): TestSite {
  const server = new Server();
  onTestFinished(() => server.remove());
  server.configure(toml);
  const told = new Remembered();
  const config = loadConfig({ root: server.root, checkCron });
  const notify: Site['notify'] = (notice) => void told.notices.push(notice);
  const site: Site = {
    config,
    log: told.log,
    tree,
    contents: contentsInThread,
    incremental: incrementalInThread,
    notify,
    now: Date.now,
  };
  const makeChroot = async (name: string): Promise<Chroot> => {
    const chroot = { name, path: server.makeSmallChroot(name) };
    await pastNow();
    return chroot;
  };
  return { site, told, server, makeChroot };
}

/**
 * Resolves when what was written before is of the past for the kernel's clock too: what is as young as a walk counts as
 * changed during it.
 */
export async function pastNow(): Promise<void> {
  const until = Date.now() + 25;
  while (Date.now() <= until) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A rebuild of a chroot that is about to begin. */
export function makeJob(site: Site, chroot: Chroot, more: Partial<RebuildJob> = {}): RebuildJob {
  return {
    ...site,
    chroot,
    settings: configOf(site.config, chroot.name),
    id: newId(site.config.paths, chroot.name, site.now()),
    reason: 'a test',
    twin: 'new',
    signal: new AbortController().signal,
    onProgress: () => {},
    packageLock: null,
    view: null,
    candidate: null,
    engine: { kind: 'any' },
    written: [],
    liveBefore: { kind: 'no export' },
    notes: [],
    ...more,
  };
}
