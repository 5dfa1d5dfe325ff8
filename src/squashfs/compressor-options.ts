import type { Compressor, CompressorType } from '../system/compressors.ts';
import { damaged, SquashfsError } from './squashfs-error.ts';

/**
 * What an image was compressed with, from the compressor options at byte 96 (squashfs-tools, *_wrapper.c), or
 * mksquashfs's defaults without them.
 * @param options the block's bytes without its header, null when the image has none
 * @throws SquashfsError 'unsupported' for options that we can read and not write: filters and strategies that mksquashfs
 * tries one after another
 */
export function compressorOf(type: CompressorType, options: Buffer | null, blockSize: number): Compressor {
  switch (type) {
    case 'gzip':
      return gzip(options);
    case 'zstd':
      return zstd(options);
    case 'lz4':
      return lz4(options);
    case 'xz':
      return xz(options, blockSize);
    case 'lzo':
      return lzo(options);
  }
}

function gzip(options: Buffer | null): Compressor {
  if (options === null) return { type: 'gzip', level: 9, windowBits: 15 };
  expectLength(options, 8);
  const level = options.readInt32LE(0);
  const windowBits = options.readInt16LE(4);
  const strategies = options.readUInt16LE(6);
  if (level < 1 || level > 9 || windowBits < 8 || windowBits > 15) throw malformed();
  if (strategies > 1) throw unwritable('gzip with several strategies');
  // zlib takes 8 for 9 in a stream of its own kind, which inflate with the said window then refuses
  if (windowBits === 8) throw unwritable('gzip with a window of 256 bytes');
  return { type: 'gzip', level, windowBits };
}

function zstd(options: Buffer | null): Compressor {
  if (options === null) return { type: 'zstd', level: 15 };
  expectLength(options, 4);
  const level = options.readInt32LE(0);
  if (level < 1 || level > 22) throw malformed();
  return { type: 'zstd', level };
}

function lz4(options: Buffer | null): Compressor {
  // mksquashfs always writes them, since the format has a version of its own
  if (options === null) throw malformed();
  expectLength(options, 8);
  const flags = options.readUInt32LE(4);
  if (options.readUInt32LE(0) !== 1 || flags > 1) throw malformed();
  return { type: 'lz4', speed: flags === 1 ? 'high' : 'fast' };
}

function xz(options: Buffer | null, blockSize: number): Compressor {
  if (options === null) return { type: 'xz', dictionarySize: blockSize };
  expectLength(options, 8);
  const dictionarySize = options.readUInt32LE(0);
  if (dictionarySize < 8192 || dictionarySize > 1024 * 1024) throw malformed();
  if (options.readUInt32LE(4) !== 0) throw unwritable('xz with filters for machine code');
  return { type: 'xz', dictionarySize };
}

const LZO_ALGORITHMS = ['lzo1x_1', 'lzo1x_1_11', 'lzo1x_1_12', 'lzo1x_1_15', 'lzo1x_999'] as const;

function lzo(options: Buffer | null): Compressor {
  if (options === null) return { type: 'lzo', algorithm: 'lzo1x_999', level: 8 };
  expectLength(options, 8);
  const algorithm = LZO_ALGORITHMS[options.readUInt32LE(0)];
  const level = options.readInt32LE(4);
  if (algorithm === undefined || level < 0 || level > 9) throw malformed();
  if (algorithm === 'lzo1x_999' && level === 0) throw malformed();
  return { type: 'lzo', algorithm, level };
}

function expectLength(options: Buffer, length: number): void {
  if (options.length !== length) throw malformed();
}

function malformed(): SquashfsError {
  return damaged('its compressor options make no sense');
}

function unwritable(what: string): SquashfsError {
  return new SquashfsError('unsupported', `cannot add to the image: ${what} is not supported`);
}
