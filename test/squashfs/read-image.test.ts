import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { readContents } from '../../src/squashfs/contents.ts';
import { openImage } from '../../src/squashfs/image-file.ts';
import { SquashfsError } from '../../src/squashfs/squashfs-error.ts';
import { readTree } from '../../src/squashfs/tree.ts';
import { mksquashfs } from './images.ts';
import { walkAll, xattrsBelow } from './same-trees.ts';
import { makeTortureTree } from './torture-tree.ts';

let directory: string;
let source: string;

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'read-image-'));
  source = path.join(directory, 'source');
  fs.mkdirSync(source);
  await makeTortureTree(source);
}, 120_000);

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }), 120_000);

describe.each(['gzip', 'zstd', 'lz4', 'xz', 'lzo'])('an image packed with %s', (compressor) => {
  it('is read as the tree that it was made of: names, attributes and contents', () => {
    const image = path.join(directory, `${compressor}.img`);
    mksquashfs(source, image, ['-comp', compressor]);
    const opened = openImage(image);
    const tree = readTree(opened);
    const contents = readContents(opened);
    const xattrs = xattrsBelow(source);
    const found = indexesOf(tree.count).map((index) => {
      const inode = tree.inode(index);
      const list = inode.xattrs === null ? [] : tree.xattrs.list(inode.xattrs);
      return {
        path: tree.path(index),
        type: inode.type,
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        mtime: inode.mtime,
        target: inode.type === 'symlink' ? inode.target : '',
        rdev: inode.type === 'block' || inode.type === 'char' ? inode.rdev : 0,
        size: inode.type === 'file' ? inode.data.size : inode.type === 'symlink' ? inode.target.length : 0,
        xattrs: list.map(({ name, value }) => `${name}=${value.toString('hex')}`).sort(),
      };
    });
    const expected = walkAll(source).map((entry) => ({
      path: entry.path,
      type: entry.type,
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      // what mksquashfs makes of a time: the low 32 bits of its seconds
      mtime: Number(BigInt.asUintN(32, BigInt(Math.floor(Number(entry.mtime) / 1e9)))),
      target: entry.target,
      rdev: entry.rdev,
      size: entry.size,
      xattrs: (xattrs.get(entry.path) ?? []).map(({ name, value }) => `${name}=${value.toString('hex')}`).sort(),
    }));
    expect(found).toEqual(expected);
    for (const index of indexesOf(tree.count)) {
      const inode = tree.inode(index);
      if (inode.type !== 'file') continue;
      const content = Buffer.concat([...contents.blocks(inode.data)]);
      expect(content.equals(fs.readFileSync(Buffer.from(`${source}/${tree.path(index)}`, 'latin1')))).toBe(true);
    }
    opened.close();
  });
});

describe('names of one file', () => {
  it('have one inode number, which no other name has', () => {
    const image = path.join(directory, 'links.img');
    mksquashfs(source, image, []);
    const opened = openImage(image);
    const tree = readTree(opened);
    const numbers = new Map(indexesOf(tree.count).map((index) => [tree.path(index), tree.inodeNumber(index)]));
    expect(numbers.get('links/hard')).toBe(numbers.get('files/text-100'));
    expect(numbers.get('links/below/hard')).toBe(numbers.get('files/text-100'));
    expect(numbers.get('specials/fifo-again')).toBe(numbers.get('specials/fifo'));
    expect(new Set(numbers.values()).size).toBe(opened.superblock.inodeCount);
    opened.close();
  });
});

describe('a damaged image', () => {
  let bytes: Buffer;
  let regions: readonly (readonly [number, number])[];
  let file: string;

  beforeAll(() => {
    const small = path.join(directory, 'small');
    fs.mkdirSync(small);
    const parts = ['attributes', 'links', 'names', 'specials', 'times', 'deep'].map((name) => path.join(source, name));
    execFileSync('cp', ['-a', ...parts, small]);
    file = path.join(directory, 'damaged.img');
    // nothing is compressed: so that a bit that flips is one in an inode, a directory, a table
    mksquashfs(small, file, ['-noI', '-noD', '-noF', '-noX', '-noId']);
    bytes = fs.readFileSync(file);
    const opened = openImage(file);
    const { inodeTable, directoryTable, fragmentTable, bytesUsed } = opened.superblock;
    opened.close();
    const data = [96, inodeTable] as const;
    const tables = [fragmentTable ?? directoryTable, bytesUsed] as const;
    regions = [[0, 96], data, [inodeTable, directoryTable], [directoryTable, tables[0]], tables];
  });

  it('gives a tree or a SquashfsError, whichever bits flip in whichever region', () => {
    const flip = fc.record({
      region: fc.nat(4),
      place: fc.double({ min: 0, max: 0.999999, noNaN: true }),
      bit: fc.nat(7),
    });
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 4 }), (flips) => {
        const wrong = Buffer.from(bytes);
        for (const { region, place, bit } of flips) {
          const [start, end] = regions[region] ?? [0, 1];
          const at = start + Math.floor(place * (end - start));
          wrong[at] = (wrong[at] ?? 0) ^ (1 << bit);
        }
        expectTreeOrError(wrong);
      }),
      { numRuns: 1500 },
    );
  });

  it('gives a SquashfsError when it is cut short, wherever', () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 4097), (length) => {
        fs.writeFileSync(file, bytes.subarray(0, length));
        expect(() => openImage(file)).toThrow(SquashfsError);
      }),
      { numRuns: 200 },
    );
  });

  it('gives a SquashfsError when compressed tables are damaged', () => {
    const packed = path.join(directory, 'zstd-damaged.img');
    mksquashfs(path.join(source, 'names'), packed, ['-comp', 'zstd']);
    const good = fs.readFileSync(packed);
    const { inodeTable, bytesUsed } = withImage(packed, (image) => image.superblock);
    fc.assert(
      fc.property(fc.integer({ min: inodeTable, max: bytesUsed - 1 }), fc.nat(7), (at, bit) => {
        const wrong = Buffer.from(good);
        wrong[at] = (wrong[at] ?? 0) ^ (1 << bit);
        expectTreeOrError(wrong);
      }),
      { numRuns: 500 },
    );
  });

  it('whose directories are in a circle gives a SquashfsError', () => {
    const loop = path.join(directory, 'loop');
    fs.mkdirSync(path.join(loop, 'a/b'), { recursive: true });
    const image = path.join(directory, 'loop.img');
    mksquashfs(loop, image, ['-noI', '-noD', '-noF', '-noX', '-noId']);
    const wrong = fs.readFileSync(image);
    const { directoryTable, root } = withImage(image, ({ superblock }) => superblock);
    // listings: that of a (one name, b) comes first, that of the root (one name, a) behind it; a's b becomes the root
    const listing = directoryTable + 2;
    expect(wrong.toString('latin1', listing + 20, listing + 21)).toBe('b');
    wrong.writeUInt16LE(root % 65_536, listing + 12);
    fs.writeFileSync(image, wrong);
    expect(() => withImage(image, readTree)).toThrow(SquashfsError);
  });

  /** Everything is read; what comes of it is checked by its type alone. */
  function expectTreeOrError(image: Buffer): void {
    fs.writeFileSync(file, image);
    try {
      withImage(file, (opened) => {
        const tree = readTree(opened);
        const contents = readContents(opened);
        for (const index of indexesOf(tree.count)) {
          const inode = tree.inode(index);
          if (inode.xattrs !== null) tree.xattrs.list(inode.xattrs);
          if (inode.type === 'file' && inode.data.size < 10_000_000) for (const _ of contents.blocks(inode.data));
        }
      });
    } catch (error) {
      if (!(error instanceof SquashfsError)) throw error;
    }
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(200_000_000);
  }
});

it('an image that is not there is an error of its own', () => {
  expect(() => openImage(path.join(directory, 'nothing.img'))).toThrow(UserError);
});

function withImage<T>(file: string, use: (image: ReturnType<typeof openImage>) => T): T {
  const opened = openImage(file);
  try {
    return use(opened);
  } finally {
    opened.close();
  }
}

function indexesOf(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
