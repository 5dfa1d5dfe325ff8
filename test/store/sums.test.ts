import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';
import { digestNow, digestOf } from '../../src/store/digest.ts';
import { hasSum, PIECE, Sums, sumsOf } from '../../src/store/sums.ts';

/** Bytes that are the same in every run and differ from piece to piece. */
function bytesOf(length: number): Buffer {
  const block = createHash('sha512').update(String(length)).digest();
  return Buffer.from(Buffer.alloc(length, block).map((byte, index) => byte ^ (index >> 20)));
}

it.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])(
  'a file of %i bytes has a checksum for each piece',
  async (length) => {
    const bytes = bytesOf(length);
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sums-')), 'file');
    onTestFinished(() => fs.rmSync(path.dirname(file), { recursive: true }));
    fs.writeFileSync(file, bytes);
    const pieces = Array.from({ length: Math.ceil(length / PIECE) }, (_, index) =>
      bytes.subarray(index * PIECE, (index + 1) * PIECE),
    );
    const found = await digestOf(file);
    expect(sumsOf(found.sums)).toEqual(pieces.map((piece) => crc32(piece)));
    expect(digestNow(file)).toEqual(found);
  },
);

it('it does not matter in which portions the bytes come', () => {
  const bytes = bytesOf(2 * PIECE + 3);
  const sums = new Sums();
  for (let at = 0; at < bytes.length; at += 1_000_003) sums.update(bytes.subarray(at, at + 1_000_003));
  const whole = new Sums();
  whole.update(bytes);
  expect(sums.text()).toBe(whole.text());
});

it('tells a piece in which one bit is another', () => {
  const piece = bytesOf(1000);
  const sum = crc32(piece);
  expect(hasSum(piece, sum)).toBe(true);
  piece[500] = (piece[500] ?? 0) ^ 16;
  expect(hasSum(piece, sum)).toBe(false);
});
