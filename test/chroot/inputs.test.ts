import { expect, test } from 'vitest';
import { inputsDigest } from '../../src/chroot/inputs.ts';

const PARTS = { tree: 'a'.repeat(64), options: { compression: 'zstd-6', excludes: ['a', 'b'], sparse: true } };

test('the digest is one of tree and options', () => {
  const digest = inputsDigest(PARTS);
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  expect(inputsDigest({ ...PARTS, tree: 'b'.repeat(64) })).not.toBe(digest);
  expect(inputsDigest({ ...PARTS, options: { ...PARTS.options, compression: 'gzip' } })).not.toBe(digest);
  expect(inputsDigest({ ...PARTS, options: { ...PARTS.options, excludes: ['a,b'] } })).not.toBe(digest);
  expect(inputsDigest({ ...PARTS, options: { ...PARTS.options, sparse: 'true' } })).not.toBe(digest);
});

test('the order of options makes no difference, that of a list does', () => {
  const { compression, excludes, sparse } = PARTS.options;
  expect(inputsDigest({ ...PARTS, options: { sparse, excludes, compression } })).toBe(inputsDigest(PARTS));
  expect(inputsDigest({ ...PARTS, options: { ...PARTS.options, excludes: ['b', 'a'] } })).not.toBe(inputsDigest(PARTS));
});
