import crypto from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { type Compressor, createPacker, unpack } from '../../src/system/compressors.ts';

const BLOCK = 131_072;

const COMPRESSORS: readonly Compressor[] = [
  { type: 'gzip', level: 9, windowBits: 15 },
  { type: 'gzip', level: 1, windowBits: 9 },
  { type: 'zstd', level: 1 },
  { type: 'zstd', level: 22 },
  { type: 'lz4', speed: 'fast' },
  { type: 'lz4', speed: 'high' },
  { type: 'xz', dictionarySize: 8192 },
  { type: 'xz', dictionarySize: BLOCK },
  { type: 'lzo', algorithm: 'lzo1x_1', level: 0 },
  { type: 'lzo', algorithm: 'lzo1x_1_11', level: 0 },
  { type: 'lzo', algorithm: 'lzo1x_1_12', level: 0 },
  { type: 'lzo', algorithm: 'lzo1x_1_15', level: 0 },
  { type: 'lzo', algorithm: 'lzo1x_999', level: 9 },
];

/** Words in an order that no compressor has seen: shrinks, but not to nothing. */
function text(seed: number, length: number): Buffer {
  const random = crypto.createHash('sha512').update(String(seed)).digest();
  let result = '';
  for (let i = 0; result.length < length; i++) result += `${random[i % 64]} word ${(i * 7919) % 1009} `;
  return Buffer.from(result).subarray(0, length);
}

describe.each(COMPRESSORS)('$type %o', (compressor) => {
  it('gives back what it was given, also of many blocks at a time', async () => {
    const { pack, width } = createPacker(compressor, BLOCK);
    const blocks = Array.from({ length: 3 * width }, (_, seed) => text(seed, seed % 2 === 0 ? BLOCK : 5000 + seed));
    const packed = await Promise.all(blocks.map((block) => pack(block)));
    for (const [index, block] of blocks.entries()) {
      const output = Buffer.alloc(BLOCK);
      const input = packed[index] ?? Buffer.alloc(0);
      expect(input.length).toBeGreaterThan(0);
      expect(input.length).toBeLessThan(block.length);
      const length = unpack(compressor.type, input, output);
      expect(output.subarray(0, length).equals(block)).toBe(true);
    }
  });

  it('says that random bytes and a single byte do not become smaller', async () => {
    const { pack } = createPacker(compressor, BLOCK);
    expect(await pack(crypto.randomBytes(BLOCK))).toBeNull();
    expect(await pack(Buffer.from('x'))).toBeNull();
  });

  it('refuses to unpack into too little room', async () => {
    const { pack } = createPacker(compressor, BLOCK);
    const packed = (await pack(text(1, 8192))) ?? Buffer.alloc(0);
    expect(() => unpack(compressor.type, packed, Buffer.alloc(8191))).toThrow(UserError);
  });

  it('refuses data cut short', async () => {
    const { pack } = createPacker(compressor, BLOCK);
    const packed = (await pack(text(2, 8192))) ?? Buffer.alloc(0);
    expect(() => unpack(compressor.type, packed.subarray(0, packed.length - 5), Buffer.alloc(8192))).toThrow(UserError);
  });
});

describe('unpack', () => {
  it.each(['gzip', 'zstd', 'lz4', 'xz', 'lzo'] as const)(
    'never writes beyond its room, whatever the %s data',
    (type) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
          const room = Buffer.alloc(300, 0xee);
          try {
            expect(unpack(type, Buffer.from(bytes), room.subarray(0, 100))).toBeLessThanOrEqual(100);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
          expect(room.subarray(100).every((byte) => byte === 0xee)).toBe(true);
        }),
      );
    },
  );
});
