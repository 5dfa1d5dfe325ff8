import fs from 'node:fs';
import { oneOf, type Random } from './random.ts';
import { type Region, regionsOf } from './regions.ts';

/** What a disk, its cable or memory may do to an image. */
export type Corruption =
  | { kind: 'flip'; region: Region; at: number; bit: number }
  | { kind: 'truncation'; size: number }
  | { kind: 'swap'; first: number; second: number };

/** Where it is, or what else it is. */
export type Sort = Region | 'truncation' | 'swapped blocks';

/** Bytes of a block that is swapped: a page, and a sector of a disk. */
const BLOCK = 4096;

export function sortOf(corruption: Corruption): Sort {
  switch (corruption.kind) {
    case 'flip':
      return corruption.region;
    case 'truncation':
      return 'truncation';
    case 'swap':
      return 'swapped blocks';
  }
}

export function inWords(corruption: Corruption): string {
  switch (corruption.kind) {
    case 'flip':
      return `bit ${corruption.bit} of byte ${corruption.at} (${corruption.region})`;
    case 'truncation':
      return `truncated to ${corruption.size} bytes`;
    case 'swap':
      return `the blocks at ${corruption.first} and ${corruption.second} swapped`;
  }
}

/** Corruptions of an image: one sort after the other, each at a random place. */
export function corruptionsOf(file: string, count: number, random: Random): Corruption[] {
  const bytes = fs.readFileSync(file);
  const ranges = regionsOf(file, bytes.length);
  const regions = [...new Set(ranges.map(({ region }) => region))];
  const sorts: Sort[] = [...regions, 'truncation', 'swapped blocks'];
  return Array.from({ length: count }, (_, index) => {
    const sort = sorts[index % sorts.length] ?? 'truncation';
    if (sort === 'truncation') return { kind: 'truncation', size: random(bytes.length) };
    if (sort === 'swapped blocks') return swap(bytes, random);
    const { start, end } = oneOf(
      random,
      ranges.filter(({ region }) => region === sort),
    );
    return { kind: 'flip', region: sort, at: start + random(end - start), bit: random(8) };
  });
}

function swap(bytes: Buffer, random: Random): Corruption {
  const blocks = Math.floor(bytes.length / BLOCK);
  for (;;) {
    const [first, second] = [random(blocks) * BLOCK, random(blocks) * BLOCK];
    const one = bytes.subarray(first, first + BLOCK);
    if (!one.equals(bytes.subarray(second, second + BLOCK))) return { kind: 'swap', first, second };
  }
}

/** Does it to a file, in place. */
export function corrupt(file: string, corruption: Corruption): void {
  const fd = fs.openSync(file, 'r+');
  try {
    switch (corruption.kind) {
      case 'flip': {
        const byte = read(fd, corruption.at, 1);
        byte[0] = (byte[0] ?? 0) ^ (1 << corruption.bit);
        fs.writeSync(fd, byte, 0, 1, corruption.at);
        break;
      }
      case 'truncation':
        fs.ftruncateSync(fd, corruption.size);
        break;
      case 'swap': {
        const { first, second } = corruption;
        const [one, other] = [read(fd, first, BLOCK), read(fd, second, BLOCK)];
        fs.writeSync(fd, other, 0, BLOCK, first);
        fs.writeSync(fd, one, 0, BLOCK, second);
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}

function read(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  fs.readSync(fd, bytes, 0, length, at);
  return bytes;
}
