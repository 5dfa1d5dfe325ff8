import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/system/clock.ts';

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #now = Date.now();
  #timers: { at: number; callback: () => void }[] = [];

  /** How many are waited for. */
  get timers(): number {
    return this.#timers.length;
  }

  now = (): number => this.#now;

  after = (delay: number, callback: () => void): (() => void) => {
    const timer = { at: this.#now + delay, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  };

  /** Moves on and calls what is due on the way, each in a turn of its own as Node does. */
  async advance(delay: number): Promise<void> {
    const target = this.#now + delay;
    for (;;) {
      await setImmediate();
      const [next] = this.#timers.filter(({ at }) => at <= target).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = target;
  }
}
