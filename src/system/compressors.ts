import { createRequire } from 'node:module';
import os from 'node:os';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import type { KoffiFunc } from 'koffi';
import { UserError } from '../errors.ts';

/** The compressors of squashfs. */
export type CompressorType = 'gzip' | 'zstd' | 'lz4' | 'xz' | 'lzo';

/** A compressor with its options; dictionarySize is in bytes. */
export type Compressor =
  | { type: 'gzip'; level: number; windowBits: number }
  | { type: 'zstd'; level: number }
  | { type: 'lz4'; speed: 'fast' | 'high' }
  | { type: 'xz'; dictionarySize: number }
  | { type: 'lzo'; algorithm: LzoAlgorithm; level: number };

export type LzoAlgorithm = 'lzo1x_1' | 'lzo1x_1_11' | 'lzo1x_1_12' | 'lzo1x_1_15' | 'lzo1x_999';

/** A compressor's library is not installed: an image that needs it can't be read here, or added to. */
export class MissingLibraryError extends UserError {
  override name = 'MissingLibraryError';
}

/** Packs blocks in threads, at most `width` at a time; further calls wait. */
export type Packer = {
  width: number;
  /**
   * Compresses a block; `input` must stay as it is until then.
   * @returns null when the result would not be smaller
   */
  pack: (input: Buffer) => Promise<Buffer | null>;
  /** Gives its memory back; a block that is being packed ends first. */
  close: () => void;
};

/**
 * A packer, working in all cores through the system's own libraries, which squashfs-tools depends on: what it makes is
 * what mksquashfs makes. gzip is Node's own and works in libuv's threads (UV_THREADPOOL_SIZE).
 * @param blockSize bytes of the largest block that it will be given
 * @throws MissingLibraryError
 */
export function createPacker(compressor: Compressor, blockSize: number): Packer {
  const width = Math.min(os.availableParallelism() + 1, WIDEST);
  const slots = Array.from({ length: width }, () => createSlot(compressor, blockSize));
  const waiting: ((slot: Slot) => void)[] = [];
  let closed = false;

  function putBack(slot: Slot): void {
    const next = waiting.shift();
    if (next !== undefined) next(slot);
    else if (closed) slot.free();
    else slots.push(slot);
  }

  return {
    width,
    pack: async (input) => {
      if (closed) throw new Error('internal error: the packer is closed');
      const slot = slots.pop() ?? (await new Promise<Slot>((resolve) => waiting.push(resolve)));
      try {
        return await slot.pack(input);
      } finally {
        putBack(slot);
      }
    },
    close: () => {
      closed = true;
      for (const slot of slots.splice(0)) slot.free();
    },
  };
}

/**
 * Decompresses one block synchronously.
 * @param output may be larger than the result
 * @returns how many bytes of `output` were written
 * @throws UserError when the input is not what the compressor makes, or `output` is too small for it; MissingLibraryError
 */
export function unpack(type: CompressorType, input: Buffer, output: Buffer): number {
  switch (type) {
    case 'gzip':
      return unpackGzip(input, output);
    case 'zstd':
      return unpackZstd(input, output);
    case 'lz4':
      return unpackLz4(input, output);
    case 'xz':
      return unpackXz(input, output);
    case 'lzo':
      return unpackLzo(input, output);
  }
}

/** Each has its own memory: a megabyte or ten. */
const WIDEST = 16;

/** Compresses one block at a time: the result is its own copy, null when it is not smaller. */
type Slot = { pack: (input: Buffer) => Promise<Buffer | null>; free: () => void };

/** What the collector frees by itself. */
const nothingToFree = (): void => undefined;

function createSlot(compressor: Compressor, blockSize: number): Slot {
  switch (compressor.type) {
    case 'gzip':
      return gzipSlot(compressor.level, compressor.windowBits);
    case 'zstd':
      return zstdSlot(compressor.level, blockSize);
    case 'lz4':
      return lz4Slot(compressor.speed, blockSize);
    case 'xz':
      return xzSlot(compressor.dictionarySize, blockSize);
    case 'lzo':
      return lzoSlot(compressor.algorithm, compressor.level, blockSize);
  }
}

// ---- gzip: what squashfs calls so is a zlib stream

const deflate = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.deflate);

function gzipSlot(level: number, windowBits: number): Slot {
  return {
    pack: async (input) => {
      const output = await deflate(input, { level, windowBits, memLevel: 8, chunkSize: Math.max(input.length, 64) });
      return output.length < input.length ? output : null;
    },
    free: nothingToFree,
  };
}

function unpackGzip(input: Buffer, output: Buffer): number {
  try {
    const options = { maxOutputLength: output.length, chunkSize: Math.max(output.length, 64) };
    return zlib.inflateSync(input, options).copy(output);
  } catch (error) {
    throw undecodable('gzip', error);
  }
}

// ---- the libraries, each loaded with the first call that needs it

type Library = ReturnType<typeof import('koffi')['load']>;

function koffi(): typeof import('koffi') {
  return createRequire(import.meta.url)('koffi') as typeof import('koffi');
}

/** @throws MissingLibraryError that names the Debian package */
function library(file: string, debianPackage: string): Library {
  try {
    return koffi().load(file);
  } catch (error) {
    throw new MissingLibraryError(`cannot load ${file}: it is not installed (apt-get install ${debianPackage})`, {
      cause: error,
    });
  }
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The call, made in a thread of koffi's. What it writes to must not be used meanwhile. */
function inThread<A extends unknown[], R>(call: KoffiFunc<(...args: A) => R>): (...args: A) => Promise<R> {
  return (...args) =>
    new Promise((resolve, reject) => {
      call.async(...args, (error: unknown, result: R) => {
        // names what was passed, so that it is not collected before
        void args;
        if (error) reject(error);
        else resolve(result);
      });
    });
}

function shrunk(output: Buffer, length: number, input: Buffer): Buffer | null {
  return length > 0 && length < input.length ? Buffer.from(output.subarray(0, length)) : null;
}

function undecodable(type: CompressorType, cause?: unknown): UserError {
  return new UserError(`what should be ${type} data is none`, { cause });
}

// ---- zstd (zstd.h)

type Zstd = {
  createCCtx: () => unknown;
  freeCCtx: (context: unknown) => void;
  createDCtx: () => unknown;
  compress: KoffiFunc<
    (context: unknown, to: Buffer, capacity: number, from: Buffer, length: number, level: number) => number | bigint
  >;
  decompress: (context: unknown, to: Buffer, capacity: number, from: Buffer, length: number) => number | bigint;
};

const zstd = once((): Zstd => {
  const { func } = bound(library('libzstd.so.1', 'libzstd1'));
  return {
    createCCtx: func('void *ZSTD_createCCtx()'),
    freeCCtx: func('size_t ZSTD_freeCCtx(void *context)'),
    createDCtx: func('void *ZSTD_createDCtx()'),
    compress: func(
      'size_t ZSTD_compressCCtx(void *context, uint8_t *to, size_t capacity, const uint8_t *from, size_t length, int level)',
    ),
    decompress: func(
      'size_t ZSTD_decompressDCtx(void *context, uint8_t *to, size_t capacity, const uint8_t *from, size_t length)',
    ),
  };
});

const zstdReader = once(() => zstd().createDCtx());

/** ZSTD_isError: error codes are the highest numbers of a size_t. */
function isZstdError(result: number): boolean {
  return result > Number.MAX_SAFE_INTEGER;
}

function zstdSlot(level: number, blockSize: number): Slot {
  const { createCCtx, freeCCtx, compress } = zstd();
  const context = createCCtx();
  const output = Buffer.allocUnsafeSlow(blockSize);
  const call = inThread(compress);
  return {
    pack: async (input) => {
      // an error means that it has no room, since nothing else can go wrong with a whole block in memory
      const length = Number(await call(context, output, Math.min(input.length, blockSize), input, input.length, level));
      return isZstdError(length) ? null : shrunk(output, length, input);
    },
    free: () => freeCCtx(context),
  };
}

function unpackZstd(input: Buffer, output: Buffer): number {
  const length = Number(zstd().decompress(zstdReader(), output, output.length, input, input.length));
  if (isZstdError(length)) throw undecodable('zstd');
  return length;
}

// ---- lz4 (lz4.h, lz4hc.h): mksquashfs takes the highest level with -Xhc

const LZ4HC_CLEVEL_MAX = 12;

type Lz4 = {
  fast: KoffiFunc<(from: Buffer, to: Buffer, length: number, capacity: number) => number>;
  high: KoffiFunc<(from: Buffer, to: Buffer, length: number, capacity: number, level: number) => number>;
  decompress: (from: Buffer, to: Buffer, length: number, capacity: number) => number;
};

const lz4 = once((): Lz4 => {
  const { func } = bound(library('liblz4.so.1', 'liblz4-1'));
  const sizes = 'int length, int capacity';
  return {
    fast: func(`int LZ4_compress_default(const uint8_t *from, uint8_t *to, ${sizes})`),
    high: func(`int LZ4_compress_HC(const uint8_t *from, uint8_t *to, ${sizes}, int level)`),
    decompress: func(`int LZ4_decompress_safe(const uint8_t *from, uint8_t *to, ${sizes})`),
  };
});

function lz4Slot(speed: 'fast' | 'high', blockSize: number): Slot {
  const { fast, high } = lz4();
  const output = Buffer.allocUnsafeSlow(blockSize);
  const callFast = inThread(fast);
  const callHigh = inThread(high);
  return {
    pack: async (input) => {
      const { length } = input;
      const result =
        speed === 'fast'
          ? await callFast(input, output, length, length)
          : await callHigh(input, output, length, length, LZ4HC_CLEVEL_MAX);
      return shrunk(output, result, input);
    },
    free: nothingToFree,
  };
}

function unpackLz4(input: Buffer, output: Buffer): number {
  const length = lz4().decompress(input, output, input.length, output.length);
  if (length < 0) throw undecodable('lz4');
  return length;
}

// ---- xz (lzma/container.h): one stream a block, CRC32, no filter but LZMA2

const LZMA_OK = 0;
const LZMA_CHECK_CRC32 = 1;
const LZMA_PRESET_DEFAULT = 6;
const LZMA_FILTER_LZMA2 = 0x21n;
const LZMA_VLI_UNKNOWN = 0xffff_ffff_ffff_ffffn;
/** More than lzma_options_lzma has, with its reserved members. */
const LZMA_OPTIONS_SIZE = 4096;

type Xz = {
  preset: (options: Buffer, preset: number) => number;
  encode: KoffiFunc<
    (
      filters: Buffer,
      check: number,
      allocator: null,
      from: Buffer,
      length: number,
      to: Buffer,
      written: Buffer,
      capacity: number,
    ) => number
  >;
  decode: (
    memoryLimit: Buffer,
    flags: number,
    allocator: null,
    from: Buffer,
    read: Buffer,
    length: number,
    to: Buffer,
    written: Buffer,
    capacity: number,
  ) => number;
};

const xz = once((): Xz => {
  const { func } = bound(library('liblzma.so.5', 'liblzma5'));
  return {
    preset: func('uint8_t lzma_lzma_preset(uint8_t *options, uint32_t preset)'),
    encode: func(
      'int lzma_stream_buffer_encode(uint8_t *filters, int check, void *allocator, const uint8_t *from, size_t length, uint8_t *to, uint8_t *written, size_t capacity)',
    ),
    decode: func(
      'int lzma_stream_buffer_decode(uint8_t *limit, uint32_t flags, void *allocator, const uint8_t *from, uint8_t *read, size_t length, uint8_t *to, uint8_t *written, size_t capacity)',
    ),
  };
});

function xzSlot(dictionarySize: number, blockSize: number): Slot {
  const { preset, encode } = xz();
  const options = Buffer.allocUnsafeSlow(LZMA_OPTIONS_SIZE).fill(0);
  if (preset(options, LZMA_PRESET_DEFAULT) !== 0) throw new UserError('cannot set up xz: liblzma knows no preset 6');
  options.writeUInt32LE(dictionarySize, 0); // its first member
  const filters = Buffer.allocUnsafeSlow(LZMA_OPTIONS_SIZE).fill(0);
  // two lzma_filter: the id and a pointer to its options; the second ends the list
  filters.writeBigUInt64LE(LZMA_FILTER_LZMA2, 0);
  filters.writeBigUInt64LE(koffi().address(options), 8);
  filters.writeBigUInt64LE(LZMA_VLI_UNKNOWN, 16);
  const output = Buffer.allocUnsafeSlow(blockSize);
  const written = Buffer.allocUnsafeSlow(8);
  const call = inThread(encode);
  return {
    pack: async (input) => {
      written.fill(0);
      const status = await call(filters, LZMA_CHECK_CRC32, null, input, input.length, output, written, input.length);
      // the filters point to the options, which no one else holds
      return status === LZMA_OK && options.length > 0
        ? shrunk(output, Number(written.readBigUInt64LE(0)), input)
        : null;
    },
    free: nothingToFree,
  };
}

/** A block's dictionary is at most a megabyte. */
const XZ_MEMORY_LIMIT = 16n * 1024n * 1024n;

function unpackXz(input: Buffer, output: Buffer): number {
  const limit = Buffer.alloc(8);
  const read = Buffer.alloc(8);
  const written = Buffer.alloc(8);
  limit.writeBigUInt64LE(XZ_MEMORY_LIMIT);
  const { decode } = xz();
  const status = decode(limit, 0, null, input, read, input.length, output, written, output.length);
  if (status !== LZMA_OK) throw undecodable('xz');
  return Number(written.readBigUInt64LE(0));
}

// ---- lzo (lzo/lzo1x.h)

const LZO_OK = 0;
/** Working memory of the hungriest algorithm, lzo1x_999: 14 * 16384 * sizeof(short). */
const LZO_MEMORY = 458_752;

type LzoCall = KoffiFunc<(from: Buffer, length: number, to: Buffer, written: Buffer, memory: Buffer) => number>;

type Lzo = {
  compress: (algorithm: Exclude<LzoAlgorithm, 'lzo1x_999'>) => LzoCall;
  compress999: KoffiFunc<
    (
      from: Buffer,
      length: number,
      to: Buffer,
      written: Buffer,
      memory: Buffer,
      dictionary: null,
      dictionaryLength: number,
      callback: null,
      level: number,
    ) => number
  >;
  decompress: (from: Buffer, length: number, to: Buffer, written: Buffer, memory: null) => number;
};

const lzo = once((): Lzo => {
  const { func } = bound(library('liblzo2.so.2', 'liblzo2-2'));
  const args = 'const uint8_t *from, size_t length, uint8_t *to, uint8_t *written, uint8_t *memory';
  return {
    compress: (algorithm) => func(`int ${algorithm}_compress(${args})`),
    compress999: func(
      `int lzo1x_999_compress_level(${args}, const uint8_t *dictionary, size_t size, void *callback, int level)`,
    ),
    decompress: func(`int lzo1x_decompress_safe(${args})`),
  };
});

function lzoSlot(algorithm: LzoAlgorithm, level: number, blockSize: number): Slot {
  const { compress, compress999 } = lzo();
  // it knows no limit: what does not compress becomes larger by this much
  const output = Buffer.allocUnsafeSlow(blockSize + Math.floor(blockSize / 16) + 64 + 3);
  const written = Buffer.allocUnsafeSlow(8);
  const memory = Buffer.allocUnsafeSlow(LZO_MEMORY);
  const call = algorithm === 'lzo1x_999' ? null : inThread(compress(algorithm));
  const call999 = inThread(compress999);
  return {
    pack: async (input) => {
      written.fill(0);
      const status =
        call === null
          ? await call999(input, input.length, output, written, memory, null, 0, null, level)
          : await call(input, input.length, output, written, memory);
      return status === LZO_OK ? shrunk(output, Number(written.readBigUInt64LE(0)), input) : null;
    },
    free: nothingToFree,
  };
}

function unpackLzo(input: Buffer, output: Buffer): number {
  const written = Buffer.alloc(8);
  written.writeBigUInt64LE(BigInt(output.length));
  const status = lzo().decompress(input, input.length, output, written, null);
  if (status !== LZO_OK) throw undecodable('lzo');
  return Number(written.readBigUInt64LE(0));
}

function bound(loaded: Library): { func: (definition: string) => ReturnType<Library['func']> } {
  return { func: (definition) => loaded.func(definition) };
}
