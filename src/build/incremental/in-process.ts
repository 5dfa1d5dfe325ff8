import fs from 'node:fs';
import os from 'node:os';
import * as z from 'zod';
import { CancelledError, messageOf, UsageError, UserError, VoidError } from '../../errors.ts';
import { run } from '../../system/processes.ts';
import type { ImageWriter, IncrementalRequest, IncrementalResult } from '../incremental.ts';

export type InProcessOptions = {
  /** Megabytes of JavaScript's memory; a tree of a million entries needs about 1000. */
  heapLimit?: number;
};

/**
 * Builds in a process of its own that lives for one image: the caller stays responsive, and all memory goes back with it.
 * @param writer the bundled src/build/incremental/writer.ts
 */
export function incrementalInProcess(writer: string, options: InProcessOptions = {}): ImageWriter {
  return async (request, signal) => {
    if (signal?.aborted === true) throw new CancelledError('the build was stopped');
    try {
      return resultOf(await replyTo(writer, request, options, signal));
    } catch (error) {
      // what was killed could not clear up after itself
      for (const file of [request.target, request.look.manifestFile]) fs.rmSync(file, { force: true });
      throw error;
    }
  };
}

const result: z.ZodType<IncrementalResult> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('built'),
    look: z.object({ digest: z.string(), entries: z.number(), bytes: z.number(), started: z.string() }),
    written: z.array(z.string()),
    stats: z.object({
      kept: z.number(),
      written: z.number(),
      compared: z.object({ files: z.number(), bytes: z.number() }),
      dataBytes: z.number(),
      appendedBytes: z.number(),
      deadBytes: z.number(),
    }),
  }),
  z.object({ kind: z.literal('full'), why: z.string() }),
]);

const replyShape = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), value: result }),
  z.object({ kind: z.literal('refused'), error: z.enum(['user', 'usage', 'void']), message: z.string() }),
]);
type Reply = z.infer<typeof replyShape>;

/** A process that ends without a reply, for want of memory perhaps, says nothing against a full build. */
async function replyTo(
  writer: string,
  request: IncrementalRequest,
  { heapLimit = 2048 }: InProcessOptions,
  signal: AbortSignal | undefined,
): Promise<Reply> {
  try {
    const { stdout } = await run(process.execPath, [`--max-old-space-size=${heapLimit}`, writer], {
      input: JSON.stringify(request),
      signal,
      nice: request.nice,
      // compressors work in these threads, and the copy takes one
      env: { UV_THREADPOOL_SIZE: String(Math.max(os.availableParallelism() + 2, 4)) },
    });
    return replyShape.parse(JSON.parse(stdout));
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    fs.rmSync(request.target, { force: true });
    return { kind: 'done', value: { kind: 'full', why: `the incremental builder ended early: ${messageOf(error)}` } };
  }
}

function resultOf(reply: Reply): IncrementalResult {
  if (reply.kind === 'done') return reply.value;
  switch (reply.error) {
    case 'void':
      throw new VoidError(reply.message);
    case 'usage':
      throw new UsageError(reply.message);
    case 'user':
      throw new UserError(reply.message);
  }
}
