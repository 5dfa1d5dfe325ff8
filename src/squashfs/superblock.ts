import type { CompressorType } from '../system/compressors.ts';
import { damaged, unsupported } from './squashfs-error.ts';

/** squashfs 4.0's superblock (fs/squashfs/squashfs_fs.h). Offsets are bytes from the image's start. */
export type Superblock = {
  inodeCount: number;
  /** When the image was made, in seconds since the epoch. */
  time: number;
  /** Bytes, a power of two from 4 KiB to 1 MiB. */
  blockSize: number;
  fragmentCount: number;
  compressor: CompressorType;
  /** Bits of `FLAGS`. */
  flags: number;
  idCount: number;
  /** Where the root's inode is, as `blockStart * 65536 + offset` in the inode table. */
  root: number;
  /** Without the padding to 4 KiB. */
  bytesUsed: number;
  idTable: number;
  xattrTable: number | null;
  inodeTable: number;
  directoryTable: number;
  fragmentTable: number | null;
  exportTable: number | null;
};

export const SUPERBLOCK_SIZE = 96;

export const FLAGS = {
  uncompressedInodes: 0x1,
  uncompressedData: 0x2,
  uncompressedFragments: 0x8,
  noFragments: 0x10,
  duplicates: 0x40,
  exportable: 0x80,
  uncompressedXattrs: 0x100,
  noXattrs: 0x200,
  compressorOptions: 0x400,
  uncompressedIds: 0x800,
} as const;

/** Bits that squashfs 4.0 has; with another one the image means something that we don't know. */
const KNOWN_FLAGS = 0xffb;

const MAGIC = 0x73717368; // hsqs
const MAGIC_BIG_ENDIAN = 0x68737173;
const NO_TABLE = 0xffff_ffff_ffff_ffffn;

const COMPRESSORS: readonly (CompressorType | 'lzma' | undefined)[] = [
  undefined,
  'gzip',
  'lzma',
  'lzo',
  'xz',
  'lz4',
  'zstd',
];

/**
 * @param bytes the image's first 96 bytes
 * @param fileSize bytes of the image file: nothing may lie beyond its end
 * @throws SquashfsError
 */
export function parseSuperblock(bytes: Buffer, fileSize: number): Superblock {
  if (bytes.length < SUPERBLOCK_SIZE) throw damaged('it is shorter than a superblock');
  const magic = bytes.readUInt32LE(0);
  if (magic === MAGIC_BIG_ENDIAN) throw unsupported('it is a big-endian squashfs of version 3 or earlier');
  if (magic !== MAGIC) throw damaged('it is no squashfs');
  const [major, minor] = [bytes.readUInt16LE(28), bytes.readUInt16LE(30)];
  if (major !== 4 || minor !== 0) throw unsupported(`it is squashfs ${major}.${minor} and not 4.0`);
  const superblock: Superblock = {
    inodeCount: bytes.readUInt32LE(4),
    time: bytes.readUInt32LE(8),
    blockSize: blockSizeOf(bytes.readUInt32LE(12), bytes.readUInt16LE(22)),
    fragmentCount: bytes.readUInt32LE(16),
    compressor: compressorOf(bytes.readUInt16LE(20)),
    flags: bytes.readUInt16LE(24),
    idCount: bytes.readUInt16LE(26),
    root: safe(bytes.readBigUInt64LE(32)),
    bytesUsed: safe(bytes.readBigUInt64LE(40)),
    idTable: safe(bytes.readBigUInt64LE(48)),
    xattrTable: optional(bytes.readBigUInt64LE(56)),
    inodeTable: safe(bytes.readBigUInt64LE(64)),
    directoryTable: safe(bytes.readBigUInt64LE(72)),
    fragmentTable: optional(bytes.readBigUInt64LE(80)),
    exportTable: optional(bytes.readBigUInt64LE(88)),
  };
  checkLayout(superblock, fileSize);
  return superblock;
}

/** The 96 bytes of a superblock. */
export function encodeSuperblock(superblock: Superblock): Buffer {
  const bytes = Buffer.alloc(SUPERBLOCK_SIZE);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(superblock.inodeCount, 4);
  bytes.writeUInt32LE(superblock.time, 8);
  bytes.writeUInt32LE(superblock.blockSize, 12);
  bytes.writeUInt32LE(superblock.fragmentCount, 16);
  bytes.writeUInt16LE(COMPRESSORS.indexOf(superblock.compressor), 20);
  bytes.writeUInt16LE(Math.log2(superblock.blockSize), 22);
  bytes.writeUInt16LE(superblock.flags, 24);
  bytes.writeUInt16LE(superblock.idCount, 26);
  bytes.writeUInt16LE(4, 28);
  const { root, bytesUsed, idTable, xattrTable, inodeTable, directoryTable, fragmentTable, exportTable } = superblock;
  const offsets = [root, bytesUsed, idTable, xattrTable, inodeTable, directoryTable, fragmentTable, exportTable];
  for (const [index, offset] of offsets.entries()) {
    bytes.writeBigUInt64LE(offset === null ? NO_TABLE : BigInt(offset), 32 + 8 * index);
  }
  return bytes;
}

function blockSizeOf(size: number, log: number): number {
  if (log < 12 || log > 20 || size !== 2 ** log) throw damaged(`its block size is said to be ${size} and 2^${log}`);
  return size;
}

function compressorOf(id: number): CompressorType {
  const compressor = COMPRESSORS[id];
  if (compressor === undefined) throw damaged(`its compressor has the unknown number ${id}`);
  if (compressor === 'lzma') throw unsupported('it is compressed with lzma, which we lack');
  return compressor;
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw damaged('its superblock has an absurd offset');
  return Number(value);
}

function optional(value: bigint): number | null {
  return value === NO_TABLE ? null : safe(value);
}

/** Tables lie behind the data, in their order, and before the end. */
function checkLayout(superblock: Superblock, fileSize: number): void {
  const { bytesUsed, flags, inodeTable, directoryTable, fragmentTable, exportTable, idTable, xattrTable } = superblock;
  if (bytesUsed > fileSize) throw damaged(`it has ${fileSize} bytes and should have ${bytesUsed}`);
  if ((flags & ~KNOWN_FLAGS) !== 0) throw unsupported(`its flags 0x${flags.toString(16)} are not all known`);
  if (superblock.inodeCount === 0 || superblock.idCount === 0) throw damaged('it has no inode or no owner');
  if (superblock.fragmentCount > 0 && fragmentTable === null) throw damaged('its fragment table is missing');
  let end = SUPERBLOCK_SIZE;
  for (const start of [inodeTable, directoryTable, fragmentTable, exportTable, idTable, xattrTable, bytesUsed]) {
    if (start === null) continue;
    if (start < end) throw damaged('its tables are not where they can be');
    end = start;
  }
}
