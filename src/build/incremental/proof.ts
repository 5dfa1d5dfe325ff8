import fs from 'node:fs';
import { CancelledError, hasCode, messageOf } from '../../errors.ts';
import { digestOf } from '../../store/digest.ts';
import type { Generation } from '../../store/generation.ts';
import { hasSum, PIECE, sumsOf } from '../../store/sums.ts';
import { Doubt } from './doubt.ts';

/** What the record of a generation says of its image. */
export type Recorded = Pick<Generation, 'digest' | 'size' | 'sums'>;

/**
 * Proves that a file is the recorded image: by the checksum of each of its pieces, which costs a third of its digest
 * and lets another image or a rotten one through once in billions of times for each piece that differs; by the digest
 * where nobody made these.
 * @throws Doubt when it is not; CancelledError
 */
export async function proveImage(file: string, recorded: Recorded, signal: AbortSignal): Promise<void> {
  if (!(await isRecorded(file, recorded, signal))) throw new Doubt('the former image is not what its record says');
}

async function isRecorded(file: string, { digest, size, sums }: Recorded, signal: AbortSignal): Promise<boolean> {
  try {
    if (sums !== '') return await hasSums(file, size, sumsOf(sums), signal);
    return (await digestOf(file, signal)).digest === digest;
  } catch (error) {
    if (hasCode(error, 'EIO', 'ENOENT')) throw new Doubt(`the former image cannot be read: ${messageOf(error)}`);
    throw error;
  }
}

async function hasSums(file: string, size: number, sums: readonly number[], signal: AbortSignal): Promise<boolean> {
  const handle = await fs.promises.open(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    if ((await handle.stat()).size !== size || sums.length !== Math.ceil(size / PIECE)) return false;
    let [filled, free] = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)];
    let reading = handle.read(filled, 0, PIECE, 0);
    for (const [index, sum] of sums.entries()) {
      const { bytesRead } = await reading;
      if (signal.aborted) throw new CancelledError(`reading ${file} was stopped`);
      const piece = filled.subarray(0, bytesRead);
      reading = handle.read(free, 0, PIECE, (index + 1) * PIECE);
      [filled, free] = [free, filled];
      // what is read ahead ends before the file is closed
      if (!hasSum(piece, sum) || piece.length !== Math.min(PIECE, size - index * PIECE)) {
        await reading;
        return false;
      }
    }
    return (await reading).bytesRead === 0;
  } finally {
    await handle.close();
  }
}
