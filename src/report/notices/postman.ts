import { messageOf } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Log } from '../log.ts';
import type { Tidings } from './notice.ts';
import type { Receiver } from './receiver.ts';

export type PostmanParts = {
  /** The receiver's. */
  id: string;
  /** As the config of this moment has it; undefined when there is no such receiver any more. */
  find: () => Receiver | undefined;
  clock: Clock;
  log: Log;
  /** The receiver has it, or will never get it. */
  onDone: (tidings: Tidings) => void;
};

/** Milliseconds: the first wait after a failure, which doubles up to the longest; and after how long one gives up. */
const FIRST_WAIT = 10_000;
const LONGEST_WAIT = 3_600_000;
const PATIENCE = 24 * 3_600_000;

type DeliveryEnd = { kind: 'told' | 'nobody' } | { kind: 'failed'; why: string };

/** Brings one receiver its tidings, one after the other, and tries again when it cannot be reached. */
export class Postman {
  readonly #parts: PostmanParts;
  readonly #stop = new AbortController();
  #bag: Tidings[] = [];
  #running: Promise<void> | null = null;
  #failures = 0;
  #said = '';
  #cancelWait: (() => void) | null = null;
  #closed = false;

  constructor(parts: PostmanParts) {
    this.#parts = parts;
  }

  /** Returns at once. */
  take(tidings: Tidings): void {
    this.#bag.push(tidings);
    if (this.#cancelWait === null) this.#go();
  }

  /** Not to be brought any more. */
  drop({ key }: Tidings): void {
    this.#bag = this.#bag.filter((one) => one.key !== key);
    this.#parts.log.warn(
      'notice.dropped',
      {},
      `${this.#parts.id} cannot be reached: it does not hear of the oldest news`,
    );
  }

  /** Begins no delivery any more; one that runs may take so many milliseconds. */
  async close(farewell: number): Promise<void> {
    this.#closed = true;
    this.#cancelWait?.();
    if (this.#running === null) return;
    const cancel = this.#parts.clock.after(farewell, () => this.#stop.abort());
    await this.#running;
    cancel();
  }

  #go(): void {
    if (this.#running !== null || this.#closed) return;
    this.#running = this.#deliverAll().finally(() => {
      this.#running = null;
      // what came in its last moment
      if (this.#bag.length > 0 && this.#cancelWait === null) this.#go();
    });
  }

  async #deliverAll(): Promise<void> {
    this.#cancelWait = null;
    for (;;) {
      const [next] = this.#bag;
      if (next === undefined || this.#closed) return;
      const end = await this.#deliver(next);
      if (this.#stop.signal.aborted) return;
      if (end.kind === 'failed' && !this.#isOld(next)) return this.#later(end.why);
      this.#tellHowItWent(next, end);
      this.#bag = this.#bag.filter(({ key }) => key !== next.key);
      this.#parts.onDone(next);
    }
  }

  async #deliver(tidings: Tidings): Promise<DeliveryEnd> {
    try {
      const receiver = this.#parts.find();
      if (receiver === undefined) return { kind: 'nobody' };
      await receiver.deliver(tidings, this.#stop.signal);
      return { kind: 'told' };
    } catch (error) {
      return { kind: 'failed', why: messageOf(error) };
    }
  }

  #later(problem: string): void {
    const { id, clock, log } = this.#parts;
    const wait = Math.min(FIRST_WAIT * 2 ** this.#failures, LONGEST_WAIT);
    this.#failures += 1;
    if (problem !== this.#said)
      log.warn('notice.failed', { receiver: id }, `cannot tell ${id}: ${problem}; trying again`);
    this.#said = problem;
    if (this.#closed) return;
    this.#cancelWait = clock.after(wait, () => {
      this.#cancelWait = null;
      this.#go();
    });
  }

  #tellHowItWent({ kind, name }: Tidings, end: DeliveryEnd): void {
    const { id, log } = this.#parts;
    const what = [kind, name].filter((part) => part !== '').join(' ');
    if (end.kind !== 'told') {
      const why = end.kind === 'failed' ? `given up: ${end.why}` : `there is no ${id} any more`;
      log.warn('notice.dropped', { receiver: id }, `cannot tell ${id} of ${what}: ${why}`);
      return;
    }
    const tell = this.#failures > 0 ? log.info : log.debug;
    tell('notice.told', { receiver: id, kind, name }, `told ${id} of ${what}`);
    this.#failures = 0;
    this.#said = '';
  }

  #isOld({ at }: Tidings): boolean {
    return this.#parts.clock.now() - Date.parse(at) > PATIENCE;
  }
}
