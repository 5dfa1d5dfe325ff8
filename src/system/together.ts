import { CancelledError } from '../errors.ts';

/**
 * Runs tasks beside each other. When one fails the others are told to stop and waited for, so that nothing of them
 * outlives this call.
 * @returns their results, in their order
 * @throws the error of the task that failed first
 */
export async function together<T extends readonly unknown[]>(
  signal: AbortSignal,
  tasks: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let first: { error: unknown } | undefined;
  const running = tasks.map(async (task) => {
    try {
      return await task(either);
    } catch (error) {
      first ??= { error };
      stop.abort();
      throw error;
    }
  });
  const settled = await Promise.allSettled(running);
  if (signal.aborted) throw new CancelledError('the work was stopped', { cause: signal.reason });
  if (first !== undefined) throw first.error;
  // all of them are fulfilled
  return settled.map((one) => (one.status === 'fulfilled' ? one.value : undefined)) as unknown as T;
}
