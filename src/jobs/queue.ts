import PQueue from 'p-queue';
import { CancelledError } from '../errors.ts';

/** In the order in which they are taken. */
export type JobKind = 'revert' | 'asked' | 'changed' | 'scheduled';

export type QueuedJob<T> = { name: string; kind: JobKind; run: (signal: AbortSignal) => Promise<T> };

const PRIORITY: Record<JobKind, number> = { revert: 3, asked: 2, changed: 1, scheduled: 0 };

type Waiting = { kind: JobKind; start: (signal: AbortSignal) => Promise<void>; reject: (error: unknown) => void };
type Running = { kind: JobKind; startedAt: number; abort: AbortController };

/** What the queue knows of one chroot. It has at most one ticket for a place, so that two jobs of it never run at once. */
type Line = {
  waiting: Waiting[];
  running: Running | null;
  ticket: { id: string; priority: number } | null;
};

/**
 * Runs jobs, one per chroot and at most `concurrency` builds at once: what was asked for first, then changed, scheduled.
 * Reverts go before all of them and wait only for a job of their own chroot.
 */
export class JobQueue {
  readonly #places: PQueue;
  readonly #now: () => number;
  readonly #lines = new Map<string, Line>();
  #tickets = 0;
  /** Those that run now. */
  readonly #reverts = new Set<Promise<void>>();
  #closed = false;

  constructor({ concurrency, now = Date.now }: { concurrency: number; now?: () => number }) {
    this.#places = new PQueue({ concurrency });
    this.#now = now;
  }

  /** How many jobs may run at once; those that run go on. */
  set concurrency(value: number) {
    this.#places.concurrency = value;
  }

  /**
   * Runs a job when its turn comes; one whose chroot has a job running waits for that without taking a place.
   * @returns what `run` returns or throws; CancelledError when it was cancelled before its turn
   */
  submit<T>({ name, kind, run }: QueuedJob<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new CancelledError('the program is stopping'));
    return new Promise<T>((resolve, reject) => {
      // `run` may throw at once as well
      const start = async (signal: AbortSignal): Promise<void> => {
        try {
          resolve(await run(signal));
        } catch (error) {
          reject(error);
        }
      };
      const line = this.#lines.get(name) ?? { waiting: [], running: null, ticket: null };
      this.#lines.set(name, line);
      // behind those of its own kind
      const behind = line.waiting.findIndex((other) => PRIORITY[other.kind] < PRIORITY[kind]);
      line.waiting.splice(behind === -1 ? line.waiting.length : behind, 0, { kind, start, reject });
      this.#queueUp(name, line);
    });
  }

  /** `startedAt` in milliseconds since the epoch. */
  running(): { name: string; kind: JobKind; startedAt: number }[] {
    return [...this.#lines].flatMap(([name, { running }]) =>
      running === null ? [] : [{ name, kind: running.kind, startedAt: running.startedAt }],
    );
  }

  waiting(): { name: string; kind: JobKind }[] {
    return [...this.#lines].flatMap(([name, { waiting }]) => waiting.map(({ kind }) => ({ name, kind })));
  }

  /**
   * Tells the chroot's running job to stop, and drops those that wait; reverts only when `what` is `all`.
   * @param why in words
   */
  cancel(name: string, why: string, what: 'all' | 'builds'): void {
    const line = this.#lines.get(name);
    if (line === undefined) return;
    const error = new CancelledError(why);
    const isMeant = ({ kind }: { kind: JobKind }): boolean => what === 'all' || kind !== 'revert';
    if (line.running !== null && isMeant(line.running)) line.running.abort.abort(error);
    const dropped = line.waiting.filter(isMeant);
    line.waiting = line.waiting.filter((one) => !dropped.includes(one));
    for (const { reject } of dropped) reject(error);
  }

  /** The chroot whose job keeps a job of `name` from running at once; undefined when none does. */
  inTheWayOf(name: string): string | undefined {
    const running = this.running();
    const builds = running.filter(({ kind }) => kind !== 'revert');
    const own = running.find((job) => job.name === name);
    return (own ?? (builds.length >= this.#places.concurrency ? builds[0] : undefined))?.name;
  }

  /** Cancels all jobs and takes no more; resolves when none runs. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const name of this.#lines.keys()) this.cancel(name, 'the program is stopping', 'all');
    await this.#places.onIdle();
    await Promise.all(this.#reverts);
  }

  #queueUp(name: string, line: Line): void {
    const [first] = line.waiting;
    if (line.running !== null || first === undefined) return;
    if (first.kind === 'revert') {
      // It is quick, and clients wait for it: not behind minutes of another chroot's build.
      const revert = this.#runFirst(name, line).finally(() => this.#reverts.delete(revert));
      this.#reverts.add(revert);
      return;
    }
    const priority = PRIORITY[first.kind];
    if (line.ticket === null) {
      this.#tickets += 1;
      const ticket = { id: `${this.#tickets}`, priority };
      line.ticket = ticket;
      void this.#places.add(async () => {
        line.ticket = null;
        // a revert that came meanwhile lets the next one queue up when it ends
        if (line.running === null) await this.#runFirst(name, line);
      }, ticket);
    } else if (line.ticket.priority < priority) {
      this.#places.setPriority(line.ticket.id, priority);
      line.ticket.priority = priority;
    }
  }

  async #runFirst(name: string, line: Line): Promise<void> {
    const first = line.waiting.shift();
    if (first !== undefined) {
      const abort = new AbortController();
      line.running = { kind: first.kind, startedAt: this.#now(), abort };
      await first.start(abort.signal);
      line.running = null;
    }
    if (line.waiting.length > 0) this.#queueUp(name, line);
    else if (line.ticket === null) this.#lines.delete(name);
  }
}
