import { lookAtImage } from '../checks/live-look.ts';
import { configOf } from '../config/config.ts';
import { CancelledError, messageOf } from '../errors.ts';
import { type LiveLook, lookAtLive } from '../serve/live-export.ts';
import { mendExport } from '../steps/export-image.ts';
import type { Site } from '../steps/site.ts';
import { imageFile } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { readRecord, writeRecord } from '../store/records.ts';
import type { ImagesLock } from './images-lock.ts';

export type LiveWatchParts = {
  /** With the config of this moment. */
  site: () => Site;
  lock: ImagesLock;
  /** The image that clients get has other bytes than were checked; its record says so. */
  onDamaged: () => void;
  /** There is no image where there should be one. */
  onMissing: () => void;
};

/** Milliseconds that nbd-server may take to answer. */
const ANSWER = 5000;

/**
 * Watches over what clients get of one chroot once it has been published: that the image is there and has the bytes that
 * were checked, and that its export answers. Each change is told once.
 */
export class LiveWatch {
  readonly #name: string;
  readonly #parts: LiveWatchParts;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #waiting: 'nothing' | 'sample' | 'whole' = 'nothing';
  /** Where the next sample begins, of which generation. */
  #cursor: { id: string; piece: number } = { id: '', piece: 0 };
  #export: LiveLook['kind'] = 'no export';

  constructor(name: string, parts: LiveWatchParts) {
    this.#name = name;
    this.#parts = parts;
  }

  /** Looks once; never throws. Looks that are asked for while one is running become one. */
  look(depth: 'sample' | 'whole'): Promise<void> {
    if (this.#waiting !== 'nothing') {
      if (depth === 'whole') this.#waiting = depth;
      return this.#running;
    }
    this.#waiting = depth;
    this.#running = this.#running.then(async () => {
      const { log } = this.#parts.site();
      const now = this.#waiting === 'whole' ? 'whole' : 'sample';
      this.#waiting = 'nothing';
      try {
        if (this.#stop.signal.aborted || this.#isOff()) return;
        if (await this.#lookAtImage(now)) await this.#lookAtExport();
      } catch (error) {
        if (error instanceof CancelledError || this.#stop.signal.aborted) return;
        const message = `${this.#name}: cannot look at the image that clients get: ${messageOf(error)}`;
        log.warn('live.unknown', { name: this.#name }, message);
      }
    });
    return this.#running;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #isOff(): boolean {
    return configOf(this.#parts.site().config, this.#name).check.live === 'off';
  }

  /** @returns whether there is a sound image */
  async #lookAtImage(depth: 'sample' | 'whole'): Promise<boolean> {
    const site = this.#parts.site();
    const { paths } = site.config;
    const name = this.#name;
    const { current, previous } = readLinks(paths, name);
    if (current.kind === 'absent' && previous.kind !== 'absent') this.#parts.onMissing();
    if (current.kind !== 'generation') return false;
    const record = readRecord(paths, name, current.id);
    // of one that another program writes into this moment, or that is known to be damaged, nothing is to be learnt
    if (record === undefined || record.damagedAt !== null) return false;
    const from = this.#cursor.id === current.id ? this.#cursor.piece : 0;
    const how = depth === 'whole' ? ({ kind: 'whole' } as const) : ({ kind: 'sample', from } as const);
    const look = await lookAtImage(imageFile(paths, name), record, how, this.#stop.signal);
    const { current: now } = readLinks(paths, name);
    // it has been replaced meanwhile
    if (now.kind !== 'generation' || now.id !== current.id) return false;
    if (look.kind === 'sound') {
      this.#cursor = { id: current.id, piece: look.next };
      return true;
    }
    writeRecord(paths, { ...record, damagedAt: new Date(site.now()).toISOString() });
    const message = `${name}: the image that clients get is damaged: ${look.why}; it is built anew`;
    site.log.error('live.damaged', { name, id: current.id }, message);
    this.#parts.onDamaged();
    return false;
  }

  async #lookAtExport(): Promise<void> {
    const site = this.#parts.site();
    const { log, config } = site;
    const name = this.#name;
    const { signal } = this.#stop;
    const look = await lookAtLive(config, imageFile(config.paths, name), { timeout: ANSWER, signal });
    const before = this.#export;
    this.#export = look.kind;
    if (look.kind === before || signal.aborted) return;
    if (look.kind === 'served') {
      if (before !== 'no export') log.info('live.served', { name }, `${name}: clients get the image over NBD again`);
      return;
    }
    // an export that has gone is mended; a server that somebody stopped stays so
    if (before === 'served' && (look.kind === 'no export' || look.kind === 'unknown')) {
      log.warn('live.unserved', { name }, `${name}: nbd-server has no export for the image any more; mending that`);
      await this.#parts.lock.during(
        `mend the export of ${name}`,
        signal,
        () => {},
        () => mendExport(site, name, signal),
      );
      this.#export = (await lookAtLive(config, imageFile(config.paths, name), { timeout: ANSWER, signal })).kind;
    } else if (look.kind !== 'no export') {
      log.warn('live.unserved', { name }, `${name}: clients cannot get the image over NBD: ${look.why}`);
    }
  }
}
