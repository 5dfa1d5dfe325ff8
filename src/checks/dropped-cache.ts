import fs from 'node:fs';
import { CancelledError, RejectedError } from '../errors.ts';
import { humanSize } from '../report/amounts.ts';
import { type Digest, digestOf } from '../store/digest.ts';
import { dropFromCache } from '../system/posix.ts';
import { type Check, well } from './check.ts';

/**
 * Where the bytes came from: all from below the page cache; `kept` of them out of it (the file system keeps them there,
 * as tmpfs does, or a program has them mapped); or it could not be found out.
 */
export type ReadFrom = { kind: 'disk' } | { kind: 'cache'; kept: number } | { kind: 'unknown'; why: string };

/**
 * SHA-256 of a file as it is below the page cache: makes it durable, drops it from the cache and reads it again. What a
 * disk or a file system did to the bytes on their way down is not seen otherwise.
 * @throws CancelledError when `signal` ends it; UserError when it is no regular file
 */
export async function digestFromDisk(file: string, signal?: AbortSignal): Promise<{ digest: Digest; from: ReadFrom }> {
  const from = await drop(file, signal);
  return { digest: await digestOf(file, signal), from };
}

/** The bytes below the page cache have the SHA-256 that was recorded when they were written. */
export function diskDigestCheck(file: string, recorded: string): Check {
  return {
    name: 'digest',
    run: async (signal) => {
      const { digest, from } = await digestFromDisk(file, signal);
      const source = sourceWords(from);
      if (digest.digest === recorded) return well(`${digest.size} bytes have the recorded digest, ${source}`);
      const both = `its digest is ${digest.digest}, recorded is ${recorded}`;
      throw new RejectedError(`${file} has not the bytes that were written, ${source}: ${both}`);
    },
  };
}

function sourceWords(from: ReadFrom): string {
  switch (from.kind) {
    case 'disk':
      return 'read below the page cache';
    case 'cache':
      return `${humanSize(from.kept)} of them read from the page cache, which keeps them`;
    case 'unknown':
      return `read perhaps from the page cache (${from.why})`;
  }
}

const PAGE = 4096;

async function drop(file: string, signal: AbortSignal | undefined): Promise<ReadFrom> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const handle = await fs.promises.open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = await handle.stat();
    // digestOf says what is wrong with it
    if (!stats.isFile()) return { kind: 'unknown', why: 'it is not a regular file' };
    // what is dirty is not dropped
    await handle.sync();
    if (signal?.aborted === true) throw new CancelledError(`reading ${file} was stopped`);
    // So that something is in the cache. When that is not seen (overlayfs counts the pages of its own inode, which never
    // has any), seeing nothing afterwards means nothing either.
    await handle.read(Buffer.alloc(1), 0, 1, 0);
    const { before, after } = dropFromCache(handle.fd);
    if (before.kind === 'unknown' || after.kind === 'unknown') {
      return { kind: 'unknown', why: 'this kernel does not say (Linux 6.5 does)' };
    }
    if (before.pages === 0 && stats.size > 0) {
      return { kind: 'unknown', why: 'the file system does not say what is in it' };
    }
    return after.pages === 0 ? { kind: 'disk' } : { kind: 'cache', kept: Math.min(after.pages * PAGE, stats.size) };
  } finally {
    await handle.close();
  }
}
