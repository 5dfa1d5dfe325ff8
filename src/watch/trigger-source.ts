import fs from 'node:fs';
import path from 'node:path';
import { hasCode, messageOf } from '../errors.ts';
import { makeDirectory } from '../system/durable.ts';
import { lookAtFlag, type Trigger, takeFlag } from './flag-file.ts';
import type { Place } from './place.ts';
import { watchPlaces } from './places.ts';
import type { Source } from './source.ts';

export type TriggerSourceOptions = {
  /** Called once the file is gone. */
  onTrigger: (trigger: Trigger) => void;
  onNotice: (text: string) => void;
};

/**
 * Milliseconds that a file has to stay as it is before it is taken, unless it ends with a newline: `echo force > NAME`
 * makes an empty file first, and inotify by way of Node does not tell when a writer closes it.
 */
const SETTLE = 500;

/**
 * Takes flag files: those that are there already, and those that come. What cannot be one is reported and removed unread;
 * a directory is reported and left.
 * @param directory made where it is missing
 */
export async function watchTriggers(directory: string, options: TriggerSourceOptions): Promise<Source> {
  const taker = new Taker(directory, options);
  const find = (): Place[] => {
    makeDirectory(directory, 0o770);
    // asked every minute, which also finds files whose event was lost
    taker.lookSoon();
    const onEntry = (): void => taker.lookSoon();
    return [{ label: 'trigger', directory: fs.realpathSync(directory), reach: 'entries', wants: () => true, onEntry }];
  };
  const source = await watchPlaces({ find, poll: 'auto', onNotice: options.onNotice });
  return {
    get mode() {
      return source.mode;
    },
    get watched() {
      return source.watched;
    },
    close: () => {
      taker.close();
      return source.close();
    },
  };
}

class Taker {
  readonly #directory: string;
  readonly #options: TriggerSourceOptions;
  /** Files that may still be written: what they were like, and since when (performance.now). */
  readonly #unsettled = new Map<string, { stamp: string; since: number }>();
  /** Names that were reported and stay where they are, and which they were, since another one may come in their place. */
  readonly #left = new Map<string, string>();
  #soon: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;

  constructor(directory: string, options: TriggerSourceOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** However many events come, it is looked once. */
  lookSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#look();
    });
  }

  close(): void {
    clearImmediate(this.#soon);
    clearTimeout(this.#later);
  }

  #look(): void {
    const names = this.#names();
    for (const known of [this.#left, this.#unsettled]) {
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    }
    for (const name of names) {
      if (this.#left.get(name) === this.#identityOf(name)) continue;
      try {
        this.#lookAt(name);
      } catch (error) {
        this.#leave(name, messageOf(error));
      }
    }
    clearTimeout(this.#later);
    if (this.#unsettled.size > 0) this.#later = setTimeout(() => this.#look(), SETTLE);
  }

  #names(): Set<string> {
    try {
      return new Set(fs.readdirSync(this.#directory));
    } catch (error) {
      // removed; it is made again within a minute
      if (!hasCode(error, 'ENOENT')) this.#options.onNotice(`cannot read ${this.#directory}: ${messageOf(error)}`);
      return new Set();
    }
  }

  #lookAt(name: string): void {
    const flag = lookAtFlag(this.#directory, name);
    if (flag.kind === 'refused') this.#refuse(name, flag.why);
    if (flag.kind === 'file' && !flag.complete && !this.#isSettled(name, flag.stamp)) return;
    this.#unsettled.delete(name);
    const trigger = flag.kind === 'file' ? takeFlag(this.#directory, name) : null;
    if (trigger !== null) this.#options.onTrigger(trigger);
  }

  #isSettled(name: string, stamp: string): boolean {
    const now = performance.now();
    const before = this.#unsettled.get(name);
    // a timer may be early by a part of a millisecond
    if (before?.stamp === stamp) return now - before.since >= SETTLE - 1;
    this.#unsettled.set(name, { stamp, since: now });
    return false;
  }

  #refuse(name: string, why: string): void {
    const file = path.join(this.#directory, name);
    if (fs.lstatSync(file, { throwIfNoEntry: false })?.isDirectory() === true) {
      this.#leave(name, 'it is a directory');
    } else {
      fs.unlinkSync(file);
      this.#options.onNotice(`${this.#shown(name)} is no flag file and is removed: ${why}`);
    }
  }

  #leave(name: string, why: string): void {
    this.#unsettled.delete(name);
    this.#left.set(name, this.#identityOf(name));
    this.#options.onNotice(`cannot take ${this.#shown(name)} as a flag file: ${why} (remove it)`);
  }

  #identityOf(name: string): string {
    const stats = fs.lstatSync(path.join(this.#directory, name), { throwIfNoEntry: false });
    return stats === undefined ? 'gone' : `${stats.ino} ${stats.mode}`;
  }

  #shown(name: string): string {
    return JSON.stringify(path.join(this.#directory, name));
  }
}
