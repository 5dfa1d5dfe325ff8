import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Doubt } from '../../../src/build/incremental/doubt.ts';
import { proveImage } from '../../../src/build/incremental/proof.ts';
import { digestOf } from '../../../src/store/digest.ts';
import { PIECE } from '../../../src/store/sums.ts';

let directory: string;
let file: string;
const { signal } = new AbortController();

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'proof-'));
  file = path.join(directory, 'image');
});

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

const SIZES = [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE];

it.each(SIZES)(
  'a file of %i bytes is what its record says, and is not with any bit flipped, cut off or added',
  async (size) => {
    const content = crypto.randomBytes(size);
    fs.writeFileSync(file, content);
    const recorded = await digestOf(file);
    await proveImage(file, recorded, signal);
    await proveImage(file, { ...recorded, sums: '' }, signal);
    await fc.assert(
      fc.asyncProperty(fc.nat(size - 1), fc.nat(7), async (at, bit) => {
        const wrong = Buffer.from(content);
        wrong[at] = (wrong[at] ?? 0) ^ (1 << bit);
        fs.writeFileSync(file, wrong);
        await expect(proveImage(file, recorded, signal)).rejects.toThrow(Doubt);
      }),
      { numRuns: 3 },
    );
    for (const other of [content.subarray(1), Buffer.concat([content, Buffer.alloc(1)])]) {
      fs.writeFileSync(file, other);
      await expect(proveImage(file, recorded, signal)).rejects.toThrow(Doubt);
      await expect(proveImage(file, { ...recorded, size: other.length }, signal)).rejects.toThrow(Doubt);
    }
  },
);
