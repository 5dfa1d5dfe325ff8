import { describe, expect, it } from 'vitest';
import { humanAge, humanSize } from '../../src/report/amounts.ts';

describe('humanSize', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [1_440_000, '1.4 MB'],
    [9_960_000, '10 MB'],
    [812_345_678, '812 MB'],
    [999_600_000, '1.0 GB'],
    [4_700_000_000_000_000, '4700 TB'],
  ])('says %d bytes as %s', (bytes, words) => expect(humanSize(bytes)).toBe(words));
});

describe('humanAge', () => {
  it.each([
    [-5_000, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [7_199_999, '1 h'],
    [86_400_000 * 40, '40 d'],
  ])('says %d ms as %s', (milliseconds, words) => expect(humanAge(milliseconds)).toBe(words));
});
