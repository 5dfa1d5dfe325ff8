import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Corruption, corruptionsOf, inWords } from './corruptions/corruption.ts';
import { randomOf } from './corruptions/random.ts';
import { Trial } from './corruptions/trial.ts';

const CORRUPTIONS = 12;

/** Milliseconds, against hanging alone: many builds, one after the other. */
const TIMEOUT = 400_000;

// scripts/trial-corruptions.mjs does it with some hundreds
describe.each(['gzip', 'zstd'] as const)(
  `corruptions of a %s image, one in each of its parts: every one`,
  (compression) => {
    const random = randomOf(compression === 'gzip' ? 1 : 2);
    let trial: Trial;
    let corruptions: Corruption[];
    beforeAll(async () => {
      trial = await Trial.open(compression, 300_000, random);
      corruptions = corruptionsOf(trial.sound, CORRUPTIONS, random);
    }, TIMEOUT);
    afterAll(() => trial?.close());

    it(
      'that changes what a client reads is found by comparing all with the chroot, though the digest is of it',
      async () => {
        const seen = { refused: 0, harmless: 0 };
        for (const corruption of corruptions) {
          const { by, isPublished, reads } = await trial.ofBuild(corruption);
          expect(by, inWords(corruption)).not.toContain('digest');
          if (isPublished) expect(reads, inWords(corruption)).toBe('the same');
          seen[isPublished ? 'harmless' : 'refused'] += 1;
        }
        expect(seen.refused + seen.harmless).toBe(CORRUPTIONS);
        expect(seen.refused).toBeGreaterThan(CORRUPTIONS / 2);
      },
      TIMEOUT,
    );

    it(
      'of a candidate whose digest was taken is found by the digest and over NBD',
      async () => {
        for (const corruption of everyThird(corruptions, 0)) {
          const { by, isPublished } = await trial.ofCandidate(corruption);
          expect([by.includes('digest'), by.includes('nbd'), isPublished], inWords(corruption)).toEqual([
            true,
            true,
            false,
          ]);
        }
      },
      TIMEOUT,
    );

    it(
      'of what clients get is found by the live watch, and the image is built anew',
      async () => {
        for (const corruption of everyThird(corruptions, 1)) {
          expect(await trial.ofLive(corruption), inWords(corruption)).toMatchObject({ mended: 'mended' });
        }
      },
      TIMEOUT,
    );
  },
);

function everyThird<T>(all: readonly T[], from: number): T[] {
  return all.filter((_, index) => index % 3 === from);
}
