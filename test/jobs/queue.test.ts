import { expect, it } from 'vitest';
import { CancelledError } from '../../src/errors.ts';
import { type JobKind, JobQueue } from '../../src/jobs/queue.ts';

/** A job that tells when it starts and ends when it is told to, or is aborted. */
class TestJob {
  readonly started: Promise<void>;
  readonly result: Promise<string>;
  readonly #log: string[];
  #end: (value: string) => void = () => {};
  #fail: (error: unknown) => void = () => {};

  constructor(queue: JobQueue, log: string[], name: string, kind: JobKind) {
    this.#log = log;
    let hasStarted = (): void => {};
    this.started = new Promise((resolve) => {
      hasStarted = resolve;
    });
    const run = (signal: AbortSignal): Promise<string> => {
      log.push(`${name} ${kind}`);
      hasStarted();
      return new Promise<string>((resolve, reject) => {
        this.#end = resolve;
        this.#fail = reject;
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    };
    this.result = queue.submit({ name, kind, run });
    // those that are cancelled are asked later
    this.result.catch(() => {});
  }

  async end(): Promise<string> {
    await this.started;
    this.#end(this.#log.at(-1) ?? '');
    return this.result;
  }

  async fail(error: Error): Promise<void> {
    await this.started;
    this.#fail(error);
  }
}

/** All that can happen without anybody's doing has happened. */
async function quiet(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

it('jobs are taken in the order revert, asked, changed, scheduled, and of one kind in the order they came', async () => {
  const queue = new JobQueue({ concurrency: 1 });
  const log: string[] = [];
  const first = new TestJob(queue, log, 'first', 'scheduled');
  const submitted: [string, JobKind][] = [
    ['a', 'scheduled'],
    ['b', 'changed'],
    ['c', 'changed'],
    ['d', 'revert'],
    ['e', 'asked'],
    ['f', 'revert'],
    ['g', 'scheduled'],
  ];
  const jobs = submitted.map(([name, kind]) => new TestJob(queue, log, name, kind));
  await first.end();
  await Promise.all(jobs.map((job) => job.end()));
  expect(log.slice(1)).toEqual([
    'd revert',
    'f revert',
    'e asked',
    'b changed',
    'c changed',
    'a scheduled',
    'g scheduled',
  ]);
});

it('a revert does not wait for the build of another chroot, but for that of its own', async () => {
  const log: string[] = [];
  const queue = new JobQueue({ concurrency: 1 });
  const build = new TestJob(queue, log, 'a', 'changed');
  await build.started;
  const other = new TestJob(queue, log, 'b', 'revert');
  expect(await other.end()).toBe('b revert');
  const own = new TestJob(queue, log, 'a', 'revert');
  const next = new TestJob(queue, log, 'a', 'asked');
  expect(log).toEqual(['a changed', 'b revert']);
  await build.end();
  await own.end();
  await next.end();
  expect(log).toEqual(['a changed', 'b revert', 'a revert', 'a asked']);
  expect(queue.running()).toEqual([]);
});

it('as many jobs as there are places run at once', async () => {
  const queue = new JobQueue({ concurrency: 2, now: () => 42 });
  const log: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestJob(queue, log, name, 'changed'));
  await quiet();
  expect(queue.running()).toEqual([
    { name: 'a', kind: 'changed', startedAt: 42 },
    { name: 'b', kind: 'changed', startedAt: 42 },
  ]);
  expect(queue.waiting()).toEqual([{ name: 'c', kind: 'changed' }]);
  await b?.end();
  await c?.started;
  await Promise.all([a?.end(), c?.end()]);
  await quiet();
  expect([queue.running(), queue.waiting()]).toEqual([[], []]);
});

it('a second job of a chroot waits for the first and takes no place meanwhile', async () => {
  const queue = new JobQueue({ concurrency: 2 });
  const log: string[] = [];
  const first = new TestJob(queue, log, 'a', 'changed');
  const second = new TestJob(queue, log, 'a', 'revert');
  const other = new TestJob(queue, log, 'b', 'scheduled');
  await other.started;
  await quiet();
  expect(log).toEqual(['a changed', 'b scheduled']);
  await first.end();
  await second.started;
  await Promise.all([second.end(), other.end()]);
  expect(log).toEqual(['a changed', 'b scheduled', 'a revert']);
});

it('a more urgent job of a chroot goes before the one that waits, and before those of other chroots', async () => {
  const queue = new JobQueue({ concurrency: 1 });
  const log: string[] = [];
  const first = new TestJob(queue, log, 'first', 'changed');
  const jobs = [
    new TestJob(queue, log, 'a', 'scheduled'),
    new TestJob(queue, log, 'b', 'changed'),
    new TestJob(queue, log, 'a', 'revert'),
  ];
  await first.end();
  await Promise.all(jobs.map((job) => job.end()));
  expect(log).toEqual(['first changed', 'a revert', 'b changed', 'a scheduled']);
});

it('a job that fails fails for its caller alone', async () => {
  const queue = new JobQueue({ concurrency: 1 });
  const log: string[] = [];
  const first = new TestJob(queue, log, 'a', 'changed');
  const second = new TestJob(queue, log, 'a', 'changed');
  await first.fail(new Error('no room'));
  await expect(first.result).rejects.toThrow('no room');
  const thrown = queue.submit({
    name: 'b',
    kind: 'changed',
    run: () => {
      throw new Error('at once');
    },
  });
  expect(await second.end()).toBe('a changed');
  await expect(thrown).rejects.toThrow('at once');
});

it('cancelling a chroot ends its running job with the reason, drops those that wait, and touches no other', async () => {
  const queue = new JobQueue({ concurrency: 2 });
  const log: string[] = [];
  const running = new TestJob(queue, log, 'a', 'changed');
  const waiting = new TestJob(queue, log, 'a', 'scheduled');
  const other = new TestJob(queue, log, 'b', 'changed');
  await Promise.all([running.started, other.started]);
  queue.cancel('a', 'a revert was asked for', 'all');
  const revert = new TestJob(queue, log, 'a', 'revert');
  await expect(running.result).rejects.toThrow(new CancelledError('a revert was asked for'));
  await expect(waiting.result).rejects.toThrow(new CancelledError('a revert was asked for'));
  await revert.end();
  await other.end();
  queue.cancel('nobody', 'nothing', 'all');
  expect(log).toEqual(['a changed', 'b changed', 'a revert']);
});

it('a chroot whose waiting jobs were cancelled before their turn can be queued again', async () => {
  const queue = new JobQueue({ concurrency: 1 });
  const log: string[] = [];
  const first = new TestJob(queue, log, 'first', 'changed');
  const dropped = new TestJob(queue, log, 'a', 'asked');
  queue.cancel('a', 'not now', 'all');
  const again = new TestJob(queue, log, 'a', 'scheduled');
  await first.end();
  await again.end();
  await expect(dropped.result).rejects.toThrow('not now');
  expect(log).toEqual(['first changed', 'a scheduled']);
});

it('closing ends what runs, drops what waits, resolves when nothing runs, and takes no more', async () => {
  const queue = new JobQueue({ concurrency: 1 });
  const log: string[] = [];
  let letGo = (): void => {};
  let undone = false;
  const stubborn = queue.submit({
    name: 'a',
    kind: 'changed',
    // takes its time to undo what it did
    run: async (signal) => {
      await new Promise<void>((resolve) => {
        letGo = resolve;
      });
      undone = true;
      signal.throwIfAborted();
    },
  });
  stubborn.catch(() => {});
  const waiting = new TestJob(queue, log, 'b', 'changed');
  await quiet();
  let closed = false;
  const closing = queue.close().then(() => {
    closed = true;
  });
  await quiet();
  expect(closed).toBe(false);
  letGo();
  await closing;
  expect(undone).toBe(true);
  await expect(stubborn).rejects.toThrow(CancelledError);
  await expect(waiting.result).rejects.toThrow(CancelledError);
  await expect(queue.submit({ name: 'c', kind: 'asked', run: async () => 1 })).rejects.toThrow(CancelledError);
  expect(log).toEqual([]);
});
