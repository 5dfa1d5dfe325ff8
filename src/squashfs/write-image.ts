import fs from 'node:fs';
import { UserError } from '../errors.ts';
import { createPacker, type Packer } from '../system/compressors.ts';
import type { Entry } from '../tree/entry.ts';
import { createBlockQueue } from './block-queue.ts';
import { compressorOf } from './compressor-options.ts';
import { FRAGMENT_SIZE, readContents } from './contents.ts';
import { createFragmentShares } from './fragment-shares.ts';
import { compressorOptions, type ImageFile, METADATA_SIZE } from './image-file.ts';
import { createImageOutput, type ImageOutput } from './image-output.ts';
import { type FileData, storedSize } from './inode.ts';
import { type KnownContentsOf, nothingKnown } from './known-contents.ts';
import { createLiveBytes } from './live-bytes.ts';
import { packMetadata } from './pack-metadata.ts';
import { cell, shapeOf } from './shape.ts';
import type { SourceAccess } from './source-file.ts';
import { overLimit } from './squashfs-error.ts';
import { encodeSuperblock, FLAGS, SUPERBLOCK_SIZE } from './superblock.ts';
import { type FileToRead, type WrittenData, writeData } from './write-data.ts';
import { writeTree } from './write-tables.ts';
import { createXattrCollector, writeXattrs } from './write-xattrs.ts';
import type { Xattr } from './xattrs.ts';

/** Where a file's content comes from: from the base image, or from the source. */
export type FileSource = { kind: 'kept'; data: () => FileData } | { kind: 'read' };

export type WriteImageOptions = {
  /** The former image: its format, its compressor's options and its data go on. It is only read. */
  base: ImageFile;
  /** The file that becomes the new image: a copy of the base, whole or up to its inode table (see `copyImage`). */
  target: string;
  /**
   * The new tree, as of src/tree's walk: the root first, parents before what they hold, siblings in byte order, depth
   * first. Entries of one (dev, ino) with nlink over 1 become hard links.
   */
  entries: readonly Entry[];
  /** Asked twice for each file's inode (its first name), so that not all answers are in memory at once; `data` once. */
  fileSource: (entry: Entry, index: number) => FileSource;
  /** Asked once for each inode (its first name). `system.*` is left out. */
  xattrs: (entry: Entry, index: number) => readonly Xattr[];
  access: SourceAccess;
  /** What is in the base already; see `contentsOfImage`. */
  known?: KnownContentsOf;
  /** Where files of the base are that are not kept: tells how much of a block shared by several files is in use. */
  unused?: Iterable<FileData>;
  /** When the image was made, in seconds since the epoch. */
  time: number;
  signal?: AbortSignal;
};

export type WrittenImage = {
  /** Of the file, with its padding. */
  size: number;
  inodes: number;
  /**
   * Bytes of data, packed: all of it, what was appended, and what no inode refers to; of a block that several files
   * share (a fragment) as large a part as is unused of its unpacked bytes.
   */
  dataBytes: number;
  appendedBytes: number;
  deadBytes: number;
};

/** squashfs 4.0: 16 bits in the superblock. */
const MOST_IDS = 65_535;

/** Block devices have no smaller sectors, so the kernel may read up to there. */
const PADDING = 4096;

/**
 * Copies an image as a start for `writeImage`: by reference where the file system can.
 * @throws UserError when it cannot be read or written
 */
export async function copyImage(from: string, to: string): Promise<void> {
  try {
    await fs.promises.copyFile(from, to, fs.constants.COPYFILE_FICLONE);
  } catch (error) {
    throw new UserError(`cannot copy ${from} to ${to}`, { cause: error });
  }
}

/**
 * Makes an image from a former one: the data of kept files stays where it is, that of others is appended, all tables are
 * new. The tree is the one that mksquashfs makes of the same source. The file is complete when this returns, and not yet
 * durable; after an error it is of no use.
 * @throws SquashfsError when the format cannot hold the tree, the base is damaged, or its options can't be written;
 * VoidError when the source is not as it was walked; UserError when something can't be read or written; CancelledError
 */
export async function writeImage(options: WriteImageOptions): Promise<WrittenImage> {
  const { base, target } = options;
  const { superblock } = base;
  const compressor = compressorOf(superblock.compressor, compressorOptions(base), superblock.blockSize);
  const packer = createPacker(compressor, Math.max(superblock.blockSize, METADATA_SIZE));
  try {
    const fd = openTarget(target, superblock.inodeTable);
    try {
      return await writeAll(options, packer, createImageOutput(fd, superblock.inodeTable));
    } finally {
      fs.closeSync(fd);
    }
  } finally {
    packer.close();
  }
}

async function writeAll(options: WriteImageOptions, packer: Packer, output: ImageOutput): Promise<WrittenImage> {
  const { base, entries } = options;
  const { superblock, dataStart } = base;
  const { flags, blockSize } = superblock;
  const unless = (flag: number): Packer | null => ((flags & flag) === 0 ? packer : null);
  const shape = shapeOf(entries);
  const isInode = (index: number): boolean => cell(shape.inodes, index) === index;

  const baseFragments = readContents(base).fragments;
  const files: FileToRead[] = [];
  for (const [index, entry] of entries.entries()) {
    if (entry.type !== 'file' || !isInode(index)) continue;
    if (options.fileSource(entry, index).kind === 'read') files.push({ entry, index });
  }
  const written = await writeData(files, {
    queue: createBlockQueue(output, blockSize, 2 * packer.width),
    blockSize,
    packers: { blocks: unless(FLAGS.uncompressedData), fragments: unless(FLAGS.uncompressedFragments) },
    fragments: (flags & FLAGS.noFragments) === 0 ? baseFragments.count : 'none',
    duplicates: (flags & FLAGS.duplicates) === 0 ? 'each' : 'once',
    known: options.known ?? nothingKnown,
    access: options.access,
    signal: options.signal,
  });
  const dataEnd = output.position();

  const live = createLiveBytes();
  const shares = createFragmentShares(baseFragments.count + written.fragments.length);
  const ids = createIds();
  const xattrs = createXattrCollector();
  const tree = await writeTree(
    output,
    {
      entries,
      shape,
      idIndex: ids.indexOf,
      xattrIndex: (index) => {
        const entry = entries[index];
        if (entry === undefined || (flags & FLAGS.noXattrs) !== 0) return null;
        return xattrs.indexOf(options.xattrs(entry, index));
      },
      fileData: (index) => {
        const data = dataOf(options, written, index);
        live.add(
          data.start,
          data.blocks.reduce((sum, word) => sum + storedSize(word), 0),
        );
        shares.use(data, blockSize);
        return data;
      },
    },
    unless(FLAGS.uncompressedInodes),
  );

  const fragmentBytes = fragmentTableOf(baseFragments.table, written.fragments);
  const fragmentPacker = unless(FLAGS.uncompressedFragments);
  const fragmentTable = await writeIndexedTable(output, fragmentBytes, fragmentPacker);
  const exportTable =
    (flags & FLAGS.exportable) === 0
      ? null
      : await writeIndexedTable(output, exportBytes(tree.references), unless(FLAGS.uncompressedInodes));
  const idTable = await writeIndexedTable(output, ids.bytes(), unless(FLAGS.uncompressedIds));
  const lists = xattrs.lists();
  const xattrTable = lists.length === 0 ? null : await writeXattrs(output, lists, unless(FLAGS.uncompressedXattrs));
  const bytesUsed = output.position();

  for (const data of options.unused ?? []) shares.leave(data, blockSize);
  const liveFragments = shares.count((index) => storedSize(fragmentBytes.readUInt32LE(FRAGMENT_SIZE * index + 8)));
  const encoded = encodeSuperblock({
    ...superblock,
    inodeCount: shape.inodeCount,
    time: options.time,
    fragmentCount: fragmentBytes.length / FRAGMENT_SIZE,
    idCount: ids.count(),
    root: tree.root,
    bytesUsed,
    idTable,
    xattrTable,
    inodeTable: tree.inodeTable,
    directoryTable: tree.directoryTable,
    fragmentTable,
    exportTable,
  });
  // last, so that what is cut off before this is no image that claims to be whole
  output.overwrite(0, encoded);
  output.overwrite(SUPERBLOCK_SIZE, base.optionsBlock);
  const size = Math.ceil(bytesUsed / PADDING) * PADDING;
  output.finish(size);
  const dataBytes = dataEnd - dataStart;
  return {
    size,
    inodes: shape.inodeCount,
    dataBytes,
    appendedBytes: dataEnd - superblock.inodeTable,
    deadBytes: dataBytes - live.count() - liveFragments,
  };
}

function openTarget(target: string, inodeTable: number): number {
  let fd: number | undefined;
  try {
    fd = fs.openSync(target, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW);
    if (fs.fstatSync(fd).size >= inodeTable) return fd;
  } catch (error) {
    throw new UserError(`cannot write the image ${target}`, { cause: error });
  }
  fs.closeSync(fd);
  throw new UserError(`cannot write the image ${target}: it should begin as a copy of the former image`);
}

function dataOf({ entries, fileSource }: WriteImageOptions, { files }: WrittenData, index: number): FileData {
  const data = files.get(index);
  if (data !== undefined) return data;
  const entry = entries[index];
  const source = entry === undefined ? undefined : fileSource(entry, index);
  if (source?.kind !== 'kept') throw new Error('internal error: a file has no content');
  return source.data();
}

function fragmentTableOf(base: Buffer, added: readonly { start: number; word: number }[]): Buffer {
  const bytes = Buffer.alloc(base.length + FRAGMENT_SIZE * added.length);
  base.copy(bytes);
  for (const [index, { start, word }] of added.entries()) {
    bytes.writeBigUInt64LE(BigInt(start), base.length + FRAGMENT_SIZE * index);
    bytes.writeUInt32LE(word, base.length + FRAGMENT_SIZE * index + 8);
  }
  return bytes;
}

function exportBytes(references: Float64Array): Buffer {
  const bytes = Buffer.alloc(8 * references.length);
  for (const [index, reference] of references.entries()) bytes.writeBigUInt64LE(BigInt(reference), 8 * index);
  return bytes;
}

/** @returns where its index is, which the superblock has to point to */
async function writeIndexedTable(output: ImageOutput, bytes: Buffer, packer: Packer | null): Promise<number> {
  const packed = await packMetadata(bytes, packer);
  const start = output.position();
  for (const block of packed.blocks) output.append(block);
  const index = Buffer.alloc(8 * packed.starts.length);
  for (const [i, blockStart] of packed.starts.entries()) index.writeBigUInt64LE(BigInt(start + blockStart), 8 * i);
  const position = output.position();
  output.append(index);
  return position;
}

type Ids = { indexOf: (id: number) => number; count: () => number; bytes: () => Buffer };

function createIds(): Ids {
  const indexes = new Map<number, number>();
  return {
    count: () => indexes.size,
    indexOf: (id) => {
      const known = indexes.get(id);
      if (known !== undefined) return known;
      if (indexes.size === MOST_IDS) throw overLimit(`the tree belongs to more than ${MOST_IDS} users and groups`);
      indexes.set(id, indexes.size);
      return indexes.size - 1;
    },
    bytes: () => {
      const bytes = Buffer.alloc(4 * indexes.size);
      for (const [id, index] of indexes) bytes.writeUInt32LE(id, 4 * index);
      return bytes;
    },
  };
}
