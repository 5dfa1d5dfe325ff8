import { type ImageFile, openImage } from '../../../src/squashfs/image-file.ts';
import { readIndexedTable } from '../../../src/squashfs/metadata.ts';
import { SUPERBLOCK_SIZE } from '../../../src/squashfs/superblock.ts';

/** The parts of a squashfs image, as its superblock tells of them. */
export type Region =
  | 'superblock'
  | 'compressor options'
  | 'data'
  | 'fragments'
  | 'inode table'
  | 'directory table'
  | 'fragment table'
  | 'export table'
  | 'id table'
  | 'xattr table'
  | 'padding';

/** Bytes from `start` up to `end`, not included. */
export type Range = { region: Region; start: number; end: number };

/** Bytes of an entry in the fragment table: where it is, its length, and nothing. */
const FRAGMENT_ENTRY = 16;
const UNCOMPRESSED = 1 << 24;

/** Where each part of an image is; those that it has not are left out. */
export function regionsOf(file: string, size: number): Range[] {
  const image = openImage(file);
  try {
    const { dataStart, superblock } = image;
    const { inodeTable, directoryTable, bytesUsed } = superblock;
    const fragments = fragmentsOf(image);
    const tables: Range[] = [...tablesOf(image)].sort((a, b) => a.start - b.start);
    const directoryEnd = tables[0]?.start ?? bytesUsed;
    const all: Range[] = [
      { region: 'superblock', start: 0, end: SUPERBLOCK_SIZE },
      { region: 'compressor options', start: SUPERBLOCK_SIZE, end: dataStart },
      ...between(dataStart, inodeTable, fragments),
      ...fragments,
      { region: 'inode table', start: inodeTable, end: directoryTable },
      { region: 'directory table', start: directoryTable, end: directoryEnd },
      ...tables.map((table, index) => ({ ...table, end: tables[index + 1]?.start ?? bytesUsed })),
      { region: 'padding', start: bytesUsed, end: size },
    ];
    return all.filter(({ start, end }) => start < end);
  } finally {
    image.close();
  }
}

function fragmentsOf(image: ImageFile): Range[] {
  const { fragmentTable, fragmentCount } = image.superblock;
  if (fragmentTable === null) return [];
  const table = readIndexedTable(image, fragmentTable, fragmentCount * FRAGMENT_ENTRY);
  return Array.from({ length: fragmentCount }, (_, index) => {
    const start = Number(table.readBigUInt64LE(index * FRAGMENT_ENTRY));
    const length = table.readUInt32LE(index * FRAGMENT_ENTRY + 8) & ~UNCOMPRESSED;
    return { region: 'fragments', start, end: start + length };
  });
}

/** The superblock tells where their indexes are; the blocks come before, the first of them where the index says. */
function tablesOf(image: ImageFile): Range[] {
  const { fragmentTable, exportTable, idTable, xattrTable } = image.superblock;
  const indexes: [Region, number | null][] = [
    ['fragment table', fragmentTable],
    ['export table', exportTable],
    ['id table', idTable],
    // its header begins with where the attributes themselves begin
    ['xattr table', xattrTable],
  ];
  return indexes.flatMap(([region, index]) => {
    if (index === null) return [];
    const start = Number(image.read(index, 8).readBigUInt64LE(0));
    return [{ region, start, end: start }];
  });
}

/** The data that no fragment is. */
function between(start: number, end: number, fragments: readonly Range[]): Range[] {
  const sorted = [...fragments].sort((a, b) => a.start - b.start);
  const starts = [start, ...sorted.map((fragment) => fragment.end)];
  const ends = [...sorted.map((fragment) => fragment.start), end];
  return starts.map((from, index) => ({ region: 'data', start: from, end: ends[index] ?? end }));
}
