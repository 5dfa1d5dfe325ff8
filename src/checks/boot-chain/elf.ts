import fs from 'node:fs';

/** What a program needs before its first instruction. Paths and names as they stand in it. */
export type ElfNeeds = {
  /** The program that loads it (ld.so); null when it is static. */
  interpreter: string | null;
  libraries: readonly string[];
  /** RPATH and RUNPATH. */
  libraryDirs: readonly string[];
};

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const DT_STRSZ = 10n;
const DT_RPATH = 15n;
const DT_RUNPATH = 29n;

/** Bytes of one table; a broken header may say anything. */
const LARGEST_TABLE = 1024 * 1024;

type Segment = { type: number; offset: bigint; address: bigint; size: bigint };

/**
 * Reads an ELF program's headers (ELF-64 and ELF-32, either byte order; elf(5)).
 * @param fd of a regular file
 * @returns null when it is none, or is broken
 */
export function readElfNeeds(fd: number): ElfNeeds | null {
  const header = readAt(fd, 0n, 64n);
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f454c46) return null;
  const word = wordReader(header[4] === 2 ? 64 : 32, header[5] === 2 ? 'big' : 'little');
  const segments = segmentsOf(fd, header, word);
  const interp = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const interpreter = interp === undefined ? null : textAt(readAt(fd, interp.offset, interp.size), 0n);
  if (dynamic === undefined) return { interpreter, libraries: [], libraryDirs: [] };
  const table = readAt(fd, dynamic.offset, dynamic.size);
  const tags: [bigint, bigint][] = [];
  for (let at = 0; at + 2 * word.bytes <= table.length; at += 2 * word.bytes) {
    tags.push([word.read(table, at), word.read(table, at + word.bytes)]);
  }
  const first = (tag: bigint): bigint | undefined => tags.find(([one]) => one === tag)?.[1];
  const strings = stringTable(fd, segments, first(DT_STRTAB), first(DT_STRSZ));
  const texts = (...wanted: bigint[]): string[] =>
    tags.flatMap(([tag, value]) => (wanted.includes(tag) ? [textAt(strings, value)] : []));
  return {
    interpreter,
    libraries: texts(DT_NEEDED).filter((name) => name !== ''),
    libraryDirs: texts(DT_RPATH, DT_RUNPATH).flatMap((list) => list.split(':')),
  };
}

type Word = {
  bytes: 4 | 8;
  half: (data: Buffer, at: number) => number;
  whole: (data: Buffer, at: number) => number;
  read: (data: Buffer, at: number) => bigint;
};

function wordReader(bits: 32 | 64, order: 'big' | 'little'): Word {
  const big = order === 'big';
  const whole = (data: Buffer, at: number): number => (big ? data.readUInt32BE(at) : data.readUInt32LE(at));
  return {
    bytes: bits === 64 ? 8 : 4,
    half: (data, at) => (big ? data.readUInt16BE(at) : data.readUInt16LE(at)),
    whole,
    read: (data, at) => {
      if (bits === 32) return BigInt(whole(data, at));
      return big ? data.readBigUInt64BE(at) : data.readBigUInt64LE(at);
    },
  };
}

function segmentsOf(fd: number, header: Buffer, word: Word): Segment[] {
  const is64 = word.bytes === 8;
  if (is64 && header.length < 64) return [];
  const start = word.read(header, is64 ? 32 : 28);
  const entry = word.half(header, is64 ? 54 : 42);
  const count = word.half(header, is64 ? 56 : 44);
  const least = is64 ? 56 : 32;
  if (entry < least) return [];
  const data = readAt(fd, start, BigInt(entry * count));
  const segments: Segment[] = [];
  for (let at = 0; at + least <= data.length; at += entry) {
    segments.push({
      type: word.whole(data, at),
      offset: word.read(data, at + (is64 ? 8 : 4)),
      address: word.read(data, at + (is64 ? 16 : 8)),
      size: word.read(data, at + (is64 ? 32 : 16)),
    });
  }
  return segments;
}

/** Its address is one in memory; the segment that it is loaded with says where that is in the file. */
function stringTable(fd: number, segments: readonly Segment[], address = 0n, size = 0n): Buffer {
  const segment = segments.find(
    (one) => one.type === PT_LOAD && address >= one.address && address < one.address + one.size,
  );
  return segment === undefined ? Buffer.alloc(0) : readAt(fd, segment.offset + address - segment.address, size);
}

function textAt(data: Buffer, at: bigint): string {
  if (at >= BigInt(data.length)) return '';
  const rest = data.subarray(Number(at));
  const end = rest.indexOf(0);
  return rest.toString('utf8', 0, end < 0 ? rest.length : end);
}

/** As much as there is, and no more than a table may have. */
function readAt(fd: number, offset: bigint, length: bigint): Buffer {
  if (offset > BigInt(Number.MAX_SAFE_INTEGER) || length > BigInt(LARGEST_TABLE)) return Buffer.alloc(0);
  const data = Buffer.alloc(Number(length));
  return data.subarray(0, fs.readSync(fd, data, 0, data.length, offset));
}
