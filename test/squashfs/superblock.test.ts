import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compressorOf } from '../../src/squashfs/compressor-options.ts';
import { compressorOptions, openImage } from '../../src/squashfs/image-file.ts';
import { encodeSuperblock, parseSuperblock } from '../../src/squashfs/superblock.ts';
import { mksquashfs } from './images.ts';

let directory: string;
let image: string;
let bytes: Buffer;

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'superblock-'));
  image = path.join(directory, 'it.img');
  fs.mkdirSync(path.join(directory, 'tree'));
  fs.writeFileSync(path.join(directory, 'tree/hello'), 'hello');
  mksquashfs(path.join(directory, 'tree'), image, ['-comp', 'zstd', '-b', '64K', '-mkfs-time', '1234567890']);
  bytes = fs.readFileSync(image);
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

describe('parseSuperblock', () => {
  it('reads what mksquashfs wrote, as unsquashfs does', () => {
    const said = execFileSync('unsquashfs', ['-s', image], { encoding: 'utf8' });
    const superblock = parseSuperblock(bytes, bytes.length);
    expect(superblock).toMatchObject({ compressor: 'zstd', blockSize: 65_536, time: 1_234_567_890, xattrTable: null });
    expect(said).toContain(`Number of inodes ${superblock.inodeCount}\n`);
    expect(said).toContain(`Number of fragments ${superblock.fragmentCount}\n`);
    expect(said).toContain(`Number of ids ${superblock.idCount}\n`);
    expect(said).toContain(`Filesystem size ${superblock.bytesUsed} bytes`);
  });

  it('is what encodeSuperblock writes, byte for byte', () => {
    expect(encodeSuperblock(parseSuperblock(bytes, bytes.length)).equals(bytes.subarray(0, 96))).toBe(true);
  });

  it.each([
    ['another magic', 0, 'XXXX', 'damaged', 'no squashfs'],
    ['a big-endian image', 0, 'sqsh', 'unsupported', 'big-endian'],
    ['version 3', 28, '\x03\x00', 'unsupported', 'squashfs 3.0'],
    ['an unknown compressor', 20, '\x07\x00', 'damaged', 'compressor'],
    ['lzma', 20, '\x02\x00', 'unsupported', 'lzma'],
    ['a block size that is none', 12, '\x01\x00\x01\x00', 'damaged', 'block size'],
    ['unknown flags', 24, '\x00\x80', 'unsupported', 'flags'],
    ['an inode table before the data', 64, '\x00\x00\x00\x00', 'damaged', 'tables'],
    ['a directory table beyond the end', 72, '\xff\xff\xff\x7f', 'damaged', 'tables'],
    ['an offset of 2^63', 71, '\x80', 'damaged', 'absurd'],
    ['more bytes than the file has', 40, '\xff\xff\xff\x7f', 'damaged', 'bytes'],
    ['no inode at all', 4, '\x00\x00\x00\x00', 'damaged', 'no inode'],
  ] as const)('refuses %s', (_, offset, replacement, problem, words) => {
    const wrong = Buffer.from(bytes);
    wrong.write(replacement, offset, 'latin1');
    expect(() => parseSuperblock(wrong, wrong.length)).toThrow(
      expect.objectContaining({ name: 'SquashfsError', problem, message: expect.stringContaining(words) }),
    );
  });
});

describe('compressorOf', () => {
  it.each([
    [['-comp', 'gzip'], { type: 'gzip', level: 9, windowBits: 15 }],
    [['-comp', 'gzip', '-Xcompression-level', '3', '-Xwindow-size', '11'], { type: 'gzip', level: 3, windowBits: 11 }],
    [['-comp', 'zstd'], { type: 'zstd', level: 15 }],
    [['-comp', 'zstd', '-Xcompression-level', '22'], { type: 'zstd', level: 22 }],
    [['-comp', 'lz4'], { type: 'lz4', speed: 'fast' }],
    [['-comp', 'lz4', '-Xhc'], { type: 'lz4', speed: 'high' }],
    [['-comp', 'xz', '-b', '64K'], { type: 'xz', dictionarySize: 65_536 }],
    [['-comp', 'xz', '-Xdict-size', '16K'], { type: 'xz', dictionarySize: 16_384 }],
    [['-comp', 'lzo'], { type: 'lzo', algorithm: 'lzo1x_999', level: 8 }],
    [['-comp', 'lzo', '-Xcompression-level', '3'], { type: 'lzo', algorithm: 'lzo1x_999', level: 3 }],
    [['-comp', 'lzo', '-Xalgorithm', 'lzo1x_1_15'], { type: 'lzo', algorithm: 'lzo1x_1_15', level: 0 }],
  ] as const)('knows what mksquashfs %s was told', (args, compressor) => {
    expect(optionsOf(args)).toEqual(compressor);
  });

  it.each([[['-comp', 'xz', '-Xbcj', 'x86']], [['-comp', 'gzip', '-Xstrategy', 'default,huffman_only']]])(
    'refuses what %s tries one after another',
    (args) => {
      expect(() => optionsOf(args)).toThrow(expect.objectContaining({ name: 'SquashfsError', problem: 'unsupported' }));
    },
  );
});

function optionsOf(args: readonly string[]): unknown {
  const other = path.join(directory, 'other.img');
  mksquashfs(path.join(directory, 'tree'), other, args);
  const opened = openImage(other);
  try {
    const { compressor, blockSize } = opened.superblock;
    return compressorOf(compressor, compressorOptions(opened), blockSize);
  } finally {
    opened.close();
  }
}
