import fs from 'node:fs';
import { messageOf, UserError } from '../errors.ts';
import { MissingLibraryError, unpack } from '../system/compressors.ts';
import { damaged, unsupported } from './squashfs-error.ts';
import { FLAGS, parseSuperblock, SUPERBLOCK_SIZE, type Superblock } from './superblock.ts';

/** An image open for reading. */
export type ImageFile = {
  superblock: Superblock;
  /** What lies between superblock and data, with its header; empty without compressor options. */
  optionsBlock: Buffer;
  /** Where data blocks begin. They end where the inode table begins. */
  dataStart: number;
  /** @throws SquashfsError when the image ends before */
  read: (position: number, length: number) => Buffer;
  /** Decompresses into `output`, and says how many bytes it were. @throws SquashfsError */
  unpack: (packed: Buffer, output: Buffer) => number;
  close: () => void;
};

/** squashfs 4.0: metadata is cut into blocks of so many bytes before it is compressed. */
export const METADATA_SIZE = 8192;

/** In the 16 bits before a metadata block: it is stored as it is. */
export const METADATA_RAW = 0x8000;

/**
 * Opens an image. It is only ever read, and what it says of itself is checked before it is used.
 * @throws SquashfsError when it is none that we read; UserError when the file cannot be read
 */
export function openImage(path: string): ImageFile {
  const fd = openFile(path);
  try {
    return imageOf(fd);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** The bytes of the compressor options, without their header; null when the image has none. */
export function compressorOptions({ optionsBlock }: Pick<ImageFile, 'optionsBlock'>): Buffer | null {
  return optionsBlock.length === 0 ? null : optionsBlock.subarray(2);
}

function openFile(path: string): number {
  try {
    return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    throw new UserError(`cannot read the image ${path}`, { cause: error });
  }
}

function imageOf(fd: number): ImageFile {
  const fileSize = fs.fstatSync(fd).size;
  const superblock = parseSuperblock(readUpTo(fd, 0, SUPERBLOCK_SIZE), fileSize);
  const { bytesUsed, compressor, inodeTable } = superblock;

  function read(position: number, length: number): Buffer {
    if (position < 0 || length < 0 || position + length > bytesUsed) throw damaged('it refers to bytes beyond its end');
    const bytes = readUpTo(fd, position, length);
    if (bytes.length < length) throw damaged('it became shorter');
    return bytes;
  }

  const optionsBlock = readOptions(superblock, read);
  const dataStart = SUPERBLOCK_SIZE + optionsBlock.length;
  if (dataStart > inodeTable) throw damaged('its tables are not where they can be');
  return {
    superblock,
    optionsBlock,
    dataStart,
    read,
    unpack: (packed, output) => {
      try {
        return unpack(compressor, packed, output);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (error instanceof MissingLibraryError) throw unsupported(messageOf(error), { cause: error });
        throw damaged(messageOf(error), { cause: error });
      }
    },
    close: () => fs.closeSync(fd),
  };
}

/** They are a metadata block that is never compressed. */
function readOptions({ flags }: Superblock, read: ImageFile['read']): Buffer {
  if ((flags & FLAGS.compressorOptions) === 0) return Buffer.alloc(0);
  const header = read(SUPERBLOCK_SIZE, 2).readUInt16LE(0);
  const length = header & ~METADATA_RAW;
  if ((header & METADATA_RAW) === 0 || length === 0 || length > 64)
    throw damaged('its compressor options make no sense');
  return read(SUPERBLOCK_SIZE, 2 + length);
}

/** A file system that fails is no damaged image. */
function readUpTo(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  try {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(fd, bytes, done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  } catch (error) {
    throw new UserError('cannot read the image', { cause: error });
  }
}
