import os from 'node:os';
import * as z from 'zod';
import { CancelledError, messageOf, UserError } from '../errors.ts';
import { humanSize } from '../report/amounts.ts';
import { run } from '../system/processes.ts';
import { together } from '../system/together.ts';
import type { Difference } from '../tree/differences.ts';
import { type CompareRequest, type Comparison, compareContents } from './sample/compare.ts';
import type { Task } from './sample/comparer.ts';

/** Compares the contents of a mounted image with the tree that it was made of: see `compareContents`. */
export type Contents = (request: CompareRequest, signal?: AbortSignal) => Promise<Comparison>;

/** Compares in this thread, which does nothing else meanwhile: for a command, which has nothing else to do. */
export const contentsInThread: Contents = async (request, signal) => {
  if (signal?.aborted === true) throw new CancelledError('the comparison was stopped');
  return compareContents(request, { index: 0, of: 1 });
};

/**
 * Compares in processes of their own, each with its share of the files, which live for one call. (Not in this process'
 * threads: what they read would leave its memory scattered, and a read that hangs could not be ended.)
 * @param comparer the bundled src/checks/sample/comparer.ts
 */
export function contentsInProcesses(comparer: string, processes = os.availableParallelism()): Contents {
  return async (request, signal = new AbortController().signal) => {
    if (signal.aborted) throw new CancelledError('the comparison was stopped');
    // a sample has its time limit whoever takes it, and other checks want to get on, too
    const of = request.extent.kind === 'all' ? processes : 1;
    const shares = Array.from({ length: of }, (_, index) => ({ index, of }));
    const tasks = shares.map((share) => (either: AbortSignal) => replyTo(comparer, { request, share }, either));
    return merged(await together<Comparison[]>(signal, tasks), request.limit);
  };
}

/** What was compared, in words: `17267 files with 711 MB were compared with the chroot's`. */
export function comparisonWords({ files, bytes, untold }: Comparison): string {
  const left = untold === 0 ? '' : ` (${untold} changed since they were read)`;
  return `${files} files with ${humanSize(bytes)} were compared with the chroot's${left}`;
}

const differences = z.array(z.object({ path: z.string(), message: z.string() }));
const replyShape = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('done'),
    value: z.object({ files: z.number(), bytes: z.number(), differences, untold: z.number(), changed: differences }),
  }),
  z.object({ kind: z.literal('refused'), message: z.string() }),
]);

async function replyTo(comparer: string, task: Task, signal: AbortSignal): Promise<Comparison> {
  let reply: z.infer<typeof replyShape>;
  try {
    const { stdout } = await run(process.execPath, [comparer], { input: JSON.stringify(task), signal });
    reply = replyShape.parse(JSON.parse(stdout));
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    throw new UserError(`cannot compare ${task.request.image} with ${task.request.source}: ${messageOf(error)}`);
  }
  if (reply.kind === 'refused') throw new UserError(reply.message);
  return reply.value;
}

function merged(parts: readonly Comparison[], limit: number): Comparison {
  const sum = (number: (part: Comparison) => number): number => parts.reduce((total, part) => total + number(part), 0);
  return {
    files: sum(({ files }) => files),
    bytes: sum(({ bytes }) => bytes),
    differences: firstByPath(
      parts.flatMap((part) => part.differences),
      limit,
    ),
    untold: sum(({ untold }) => untold),
    changed: firstByPath(
      parts.flatMap(({ changed }) => changed),
      limit,
    ),
  };
}

/** By bytes: paths have one char for each. */
function firstByPath(all: Difference[], limit: number): Difference[] {
  return all.sort((one, other) => (one.path < other.path ? -1 : 1)).slice(0, limit);
}
