import { CancelledError } from '../../errors.ts';
import { isZero } from '../../squashfs/content-hash.ts';
import type { Contents } from '../../squashfs/contents.ts';
import type { FileData } from '../../squashfs/inode.ts';
import { type SourceAccess, withSourceFile } from '../../squashfs/source-file.ts';
import type { Entry } from '../../tree/entry.ts';

/** A file that is to be kept, by its index in the new tree. */
export type KeptFile = { index: number; entry: Entry; data: () => FileData };

/** `all`, or of a sample as many as `budget` milliseconds suffice for; which ones follows from `seed`, an integer. */
export type Extent = { kind: 'all' } | { kind: 'sample'; budget: number; seed: number };

export type Compared = {
  files: number;
  bytes: number;
  /** Those whose content is not what the image has. */
  different: readonly KeptFile[];
};

/**
 * Compares files of the source with what the former image has of them.
 * @throws VoidError when a file is not as it was walked; SquashfsError when the image is damaged there; UserError when
 * one can't be read; CancelledError
 */
export async function compareKept(
  files: readonly KeptFile[],
  {
    extent,
    access,
    contents,
    signal,
  }: { extent: Extent; access: SourceAccess; contents: Contents; signal: AbortSignal },
): Promise<Compared> {
  const different: KeptFile[] = [];
  const result = { files: 0, bytes: 0, different };
  const deadline = extent.kind === 'all' ? Infinity : performance.now() + extent.budget;
  for (const file of inOrder(files, extent)) {
    if (performance.now() >= deadline) break;
    if (signal.aborted) throw new CancelledError('the comparison was stopped');
    const { entry, index } = file;
    await withSourceFile(access, entry, index, async (source) => {
      let position = 0;
      let hole = 0;
      for (const { length, bytes } of contents.pieces(file.data())) {
        if (performance.now() >= deadline) return;
        // one question for all of a hole
        if (bytes === null && position >= hole) hole = source.nextData(position);
        if (bytes !== null || position + length > hole) {
          const found = room(length);
          source.read(found, position, length);
          if (bytes === null ? !isZero(found) : !found.equals(bytes)) {
            different.push(file);
            return;
          }
        }
        position += length;
        result.bytes += length;
      }
      result.files++;
    });
  }
  return result;
}

let buffer = Buffer.alloc(0);

function room(length: number): Buffer {
  if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length);
  return buffer.subarray(0, length);
}

/** For a sample: by steps of about the golden ratio of them, which come everywhere early and to each one once. */
function* inOrder<T>(items: readonly T[], extent: Extent): Generator<T, void> {
  const { length } = items;
  const start = extent.kind === 'all' ? 0 : Math.abs(extent.seed) % Math.max(length, 1);
  let step = extent.kind === 'all' ? 1 : Math.max(Math.floor(length * 0.618), 1);
  while (commonDivisor(step, length) > 1) step++;
  for (let i = 0; i < length; i++) {
    const item = items[(start + i * step) % length];
    if (item !== undefined) yield item;
  }
}

function commonDivisor(one: number, other: number): number {
  return other === 0 ? one : commonDivisor(other, one % other);
}
