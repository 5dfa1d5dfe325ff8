/** What a source told of, and a way to wait for more of it. The test's own time limit ends a wait that is in vain. */
export class Heard<T> {
  readonly all: T[] = [];
  #waiting: (() => void)[] = [];

  readonly add = (one: T): void => {
    this.all.push(one);
    for (const wake of this.#waiting.splice(0)) wake();
  };

  /** Resolves with the first one from `from` on that fits. */
  async next(fits: (one: T) => boolean, from = 0): Promise<T> {
    for (;;) {
      const found = this.all.slice(from).find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((wake) => this.#waiting.push(wake));
    }
  }
}

/**
 * Does something now and every second until what is waited for comes. A file that is polled is compared with what it was
 * like at the first look, and nothing tells when that was.
 */
export async function repeatedly<T>(action: () => void, outcome: Promise<T>): Promise<T> {
  action();
  const timer = setInterval(action, 1000);
  try {
    return await outcome;
  } finally {
    clearInterval(timer);
  }
}
