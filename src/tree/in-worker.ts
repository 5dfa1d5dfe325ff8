import { Worker } from 'node:worker_threads';
import * as z from 'zod';
import { CancelledError, messageOf, UsageError, UserError } from '../errors.ts';
import type { Tree } from './look.ts';
import type { Task } from './worker.ts';

const look = z.object({ digest: z.string(), entries: z.number(), bytes: z.number(), started: z.string() });
const found = z.array(z.object({ path: z.string(), message: z.string() }));

/**
 * Walks in a worker thread that lives for one call: the daemon stays responsive, and the memory of a walk goes with it.
 * @param workerUrl the bundled src/tree/worker.ts
 * @param heapLimit megabytes that a walk may use; a manifest of a million entries needs about 1000
 */
export function treeInWorker(workerUrl: URL, heapLimit = 2048): Tree {
  const ask = <T>(task: Task, result: z.ZodType<T>, signal: AbortSignal | undefined): Promise<T> =>
    inWorker(workerUrl, heapLimit, task, result, signal);
  return {
    look: (request, signal) => ask({ kind: 'look', request }, look, signal),
    compareWalk: (request, signal) => ask({ kind: 'compareWalk', request }, found, signal),
    compareImage: (request, signal) => ask({ kind: 'compareImage', request }, found, signal),
  };
}

async function inWorker<T>(
  workerUrl: URL,
  heapLimit: number,
  task: Task,
  result: z.ZodType<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal?.aborted === true) throw new CancelledError('the walk was stopped');
  const worker = new Worker(workerUrl, {
    workerData: task,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: heapLimit },
  });
  const { promise, resolve, reject } = promiseWithResolvers<unknown>();
  const onAbort = (): void => reject(new CancelledError('the walk was stopped'));
  signal?.addEventListener('abort', onAbort, { once: true });
  worker.once('message', resolve);
  worker.once('messageerror', reject);
  worker.once('error', (error) => reject(new UserError(failureOf(task, messageOf(error)), { cause: error })));
  worker.once('exit', (code) => reject(new UserError(failureOf(task, `the thread ended with status ${code}`))));
  try {
    return resultOf(replyShape.parse(await promise), result);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await worker.terminate();
  }
}

const replyShape = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), value: z.unknown() }),
  z.object({ kind: z.literal('refused'), error: z.enum(['user', 'usage']), message: z.string() }),
]);

function resultOf<T>(reply: z.infer<typeof replyShape>, result: z.ZodType<T>): T {
  if (reply.kind === 'done') return result.parse(reply.value);
  throw reply.error === 'usage' ? new UsageError(reply.message) : new UserError(reply.message);
}

function failureOf(task: Task, why: string): string {
  return `cannot walk ${task.request.root}: ${why}`;
}

/** Promise.withResolvers, which Node has from version 22 on. */
function promiseWithResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
