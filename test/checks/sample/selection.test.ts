import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inShare, shuffled } from '../../../src/checks/sample/selection.ts';

const numbers = (length: number): number[] => Array.from({ length }, (_, index) => index);

it('shares have each item once, in order', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 9 }), (length, of) => {
      const shares = numbers(of).map((index) => inShare(numbers(length), { index, of }));
      for (const share of shares) expect(share).toEqual(share.toSorted((a, b) => a - b));
      expect(shares.flat().toSorted((a, b) => a - b)).toEqual(numbers(length));
    }),
  );
});

it('many items are shared about equally', () => {
  const [one, other] = [0, 1].map((index) => inShare(numbers(10_000), { index, of: 2 }).length);
  expect(Math.abs((one ?? 0) - (other ?? 0))).toBeLessThan(100);
});

it('a shuffle has each item once, the same for the same seed', () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.integer(), (items, seed) => {
      const once = shuffled(items, seed);
      expect(shuffled(items, seed)).toEqual(once);
      expect(once.toSorted((a, b) => a - b)).toEqual(items.toSorted((a, b) => a - b));
    }),
  );
});

it('another seed brings other items to the front: after some nights all were there', () => {
  const first = new Set(numbers(2_000).flatMap((seed) => shuffled(numbers(100), seed).slice(0, 1)));
  expect(first.size).toBe(100);
});
