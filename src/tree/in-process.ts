import * as z from 'zod';
import { CancelledError, messageOf, UsageError, UserError } from '../errors.ts';
import { run } from '../system/processes.ts';
import type { Tree } from './look.ts';
import type { Task } from './walker.ts';

const look = z.object({ digest: z.string(), entries: z.number(), bytes: z.number(), started: z.string() });
const found = z.array(z.object({ path: z.string(), message: z.string() }));

/**
 * Walks in a process of its own that lives for one call: the daemon stays responsive, and all memory of a walk goes back
 * with it. (A worker thread leaves its memory scattered over the daemon's: 1.5 MB for each chroot.)
 * @param walker the bundled src/tree/walker.ts
 * @param heapLimit megabytes that a walk may use; a manifest of a million entries needs about 1000
 */
export function treeInProcess(walker: string, heapLimit = 2048): Tree {
  const ask = async <T>(task: Task, result: z.ZodType<T>, signal: AbortSignal | undefined): Promise<T> => {
    if (signal?.aborted === true) throw new CancelledError('the walk was stopped');
    return resultOf(await replyTo(walker, heapLimit, task, signal), result);
  };
  return {
    look: (request, signal) => ask({ kind: 'look', request }, look, signal),
    compareWalk: (request, signal) => ask({ kind: 'compareWalk', request }, found, signal),
    compareImage: (request, signal) => ask({ kind: 'compareImage', request }, found, signal),
  };
}

const replyShape = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), value: z.unknown() }),
  z.object({ kind: z.literal('refused'), error: z.enum(['user', 'usage']), message: z.string() }),
]);
type Reply = z.infer<typeof replyShape>;

async function replyTo(walker: string, heapLimit: number, task: Task, signal: AbortSignal | undefined): Promise<Reply> {
  try {
    const args = [`--max-old-space-size=${heapLimit}`, walker];
    const { stdout } = await run(process.execPath, args, { input: JSON.stringify(task), signal });
    return replyShape.parse(JSON.parse(stdout));
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    throw new UserError(`cannot walk ${task.request.root}: ${messageOf(error)}`, { cause: error });
  }
}

function resultOf<T>(reply: Reply, result: z.ZodType<T>): T {
  if (reply.kind === 'done') return result.parse(reply.value);
  throw reply.error === 'usage' ? new UsageError(reply.message) : new UserError(reply.message);
}
