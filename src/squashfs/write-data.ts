import { CancelledError } from '../errors.ts';
import type { Packer } from '../system/compressors.ts';
import type { Entry } from '../tree/entry.ts';
import type { BlockQueue } from './block-queue.ts';
import { createContentHash, isZero } from './content-hash.ts';
import type { FileData } from './inode.ts';
import type { KnownContentsOf } from './known-contents.ts';
import { type SourceAccess, type SourceFile, withSourceFile } from './source-file.ts';

/** A file whose content is not in the image yet. */
export type FileToRead = { entry: Entry; index: number };

export type WriteDataOptions = {
  queue: BlockQueue;
  blockSize: number;
  /** null: blocks, or fragments, are stored as they are */
  packers: { blocks: Packer | null; fragments: Packer | null };
  /** How many fragments the image has already; 'none' when small files get a block of their own. */
  fragments: number | 'none';
  duplicates: 'once' | 'each';
  known: KnownContentsOf;
  access: SourceAccess;
  signal: AbortSignal | undefined;
};

export type WrittenData = {
  /** By index. */
  files: Map<number, FileData>;
  /** Entries to append to the fragment table. */
  fragments: { start: number; word: number }[];
};

/**
 * Reads files and appends what is in them to the image's data: whole files smaller than a block share blocks (fragments),
 * blocks of zeros are left out, contents that are known or came before are not written again.
 * @throws VoidError when a file is not what the walk saw
 */
export async function writeData(files: readonly FileToRead[], options: WriteDataOptions): Promise<WrittenData> {
  const { queue, blockSize, duplicates, access, signal } = options;
  const sizes = countSizes(files);
  const known = options.known(new Set(sizes.keys()));
  const fragments = createFragments(options);
  const written = new Map<number, FileData>();
  const byDigest = new Map<string, FileData>();

  function mayBeThere(size: number): boolean {
    return known.hasSize(size) || (duplicates === 'once' && (sizes.get(size) ?? 0) > 1);
  }

  function find(size: number, digest: string): FileData | null {
    return byDigest.get(digest) ?? known.find(size, digest);
  }

  async function writeFile(file: SourceFile, size: number): Promise<FileData> {
    if (size === 0) return emptyData(0);
    if (size < blockSize && options.fragments !== 'none') return await writeSmall(file, size);
    const digest = mayBeThere(size) ? digestOf(file, size, blockSize) : null;
    const there = digest === null ? null : find(size, digest);
    if (there !== null) return there;
    const data = await writeBlocks(file, size, options);
    if (digest !== null && duplicates === 'once') byDigest.set(digest, data);
    return data;
  }

  async function writeSmall(file: SourceFile, size: number): Promise<FileData> {
    const buffer = queue.take();
    file.read(buffer, 0, size);
    const content = buffer.subarray(0, size);
    const digest = mayBeThere(size) ? digestOfBlock(content) : null;
    let data = digest === null ? null : find(size, digest);
    if (data === null) {
      data = { ...emptyData(size), fragment: await fragments.add(content) };
      if (digest !== null && duplicates === 'once') byDigest.set(digest, data);
    }
    queue.release(buffer);
    return data;
  }

  for (const { entry, index } of files) {
    stopIfAborted(signal);
    await withSourceFile(access, entry, index, async (file) => {
      written.set(index, await writeFile(file, file.size));
    });
  }
  await fragments.finish();
  await queue.flush();
  return { files: written, fragments: fragments.table };
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new CancelledError('the build was stopped');
}

function countSizes(files: readonly FileToRead[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const { entry } of files) counts.set(entry.size, (counts.get(entry.size) ?? 0) + 1);
  return counts;
}

function emptyData(size: number): FileData {
  return { size, start: 0, blocks: new Uint32Array(0), fragment: null, sparse: 0 };
}

function digestOfBlock(content: Buffer): string {
  const hash = createContentHash();
  if (isZero(content)) hash.zeros();
  else hash.bytes(content);
  return hash.digest();
}

/** It is read twice then: once to see what it is, once to pack it. The second time comes from memory. */
function digestOf(file: SourceFile, size: number, blockSize: number): string {
  const hash = createContentHash();
  const buffer = Buffer.allocUnsafe(blockSize);
  let hole = 0;
  for (let position = 0; position < size; position += blockSize) {
    const block = buffer.subarray(0, Math.min(blockSize, size - position));
    if (position >= hole) hole = file.nextData(position);
    const isHole = position + block.length <= hole;
    if (!isHole) file.read(buffer, position, block.length);
    if (isHole || isZero(block)) hash.zeros();
    else hash.bytes(block);
  }
  return hash.digest();
}

/** The result has its places as soon as the queue has written the blocks. */
async function writeBlocks(file: SourceFile, size: number, options: WriteDataOptions): Promise<FileData> {
  const { queue, blockSize, packers, signal } = options;
  const blocks = new Uint32Array(Math.ceil(size / blockSize));
  const data: FileData = { size, start: 0, blocks, fragment: null, sparse: 0 };
  let hole = 0;
  let first = true;
  for (let i = 0; i < blocks.length; i++) {
    stopIfAborted(signal);
    const position = i * blockSize;
    const length = Math.min(blockSize, size - position);
    if (position >= hole) hole = file.nextData(position);
    const buffer = queue.take();
    const isHole = position + length <= hole;
    if (!isHole) file.read(buffer, position, length);
    if (isHole || isZero(buffer.subarray(0, length))) {
      queue.release(buffer);
      data.sparse += length;
      continue;
    }
    const isFirst = first;
    first = false;
    await queue.add(buffer, length, packers.blocks, (start, word) => {
      if (isFirst) data.start = start;
      blocks[i] = word;
    });
  }
  // mksquashfs: a file is never all hole, since its blocks as of stat(2) are counted from the rest
  if (data.sparse === size) data.sparse = size - 1;
  return data;
}

type Fragments = {
  table: { start: number; word: number }[];
  add: (content: Buffer) => Promise<{ index: number; offset: number }>;
  finish: () => Promise<void>;
};

function createFragments({ queue, blockSize, packers, fragments }: WriteDataOptions): Fragments {
  const first = fragments === 'none' ? 0 : fragments;
  const table: Fragments['table'] = [];
  let count = 0;
  let current: Buffer | null = null;
  let used = 0;

  async function finish(): Promise<void> {
    if (current === null) return;
    const index = count++;
    const buffer = current;
    current = null;
    await queue.add(buffer, used, packers.fragments, (start, word) => {
      table[index] = { start, word };
    });
    used = 0;
  }

  return {
    table,
    finish,
    add: async (content) => {
      if (used + content.length > blockSize) await finish();
      current ??= queue.take();
      content.copy(current, used);
      const place = { index: first + count, offset: used };
      used += content.length;
      return place;
    },
  };
}
