import fc from 'fast-check';

type Change =
  | { kind: 'remove'; at: number; length: number }
  | { kind: 'repeat'; at: number; length: number; times: number }
  | { kind: 'put'; at: number; token: string; times: number }
  | { kind: 'flip'; at: number; bit: number };

/** As long as a file gets by `repeat` and `put`: what takes time in the square of its length takes too long for a test. */
const LONGEST = 100_000;

/**
 * Bytes that are nearly one of the samples: pieces are missing, stand twice or thousands of times, bits are flipped, and
 * tokens of the format stand where they do not belong. Now and then they are no sample at all.
 */
export function damaged(samples: readonly (string | Buffer)[], tokens: readonly string[]): fc.Arbitrary<Buffer> {
  const at = fc.double({ min: 0, max: 1, noNaN: true });
  const times = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.constant(5_000));
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({ kind: fc.constant('remove' as const), at, length: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ kind: fc.constant('repeat' as const), at, length: fc.integer({ min: 1, max: 60 }), times }),
    fc.record({ kind: fc.constant('put' as const), at, token: fc.constantFrom(...STRANGE, ...tokens), times }),
    fc.record({ kind: fc.constant('flip' as const), at, bit: fc.integer({ min: 0, max: 7 }) }),
  );
  const nearly = fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 6 }))
    .map(([sample, changes]) => changes.reduce(changed, Buffer.from(sample)));
  const anything = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  return fc.oneof({ weight: 9, arbitrary: nearly }, anything);
}

const STRANGE = [
  '\0',
  '\n',
  '\r\n',
  '\\',
  '"',
  "'",
  '\u2028',
  '\ud800',
  '{',
  '[',
  '-1',
  '1e999',
  'null',
  '__proto__',
  '..',
];

function changed(bytes: Buffer, change: Change): Buffer {
  const at = Math.floor(change.at * bytes.length);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (change.kind) {
    case 'remove':
      return Buffer.concat([before, after.subarray(change.length)]);
    case 'repeat':
      return grown(before, after.subarray(0, change.length), change.times, after);
    case 'put':
      return grown(before, Buffer.from(change.token), change.times, after);
    case 'flip': {
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << change.bit);
      return flipped;
    }
  }
}

function grown(before: Buffer, piece: Buffer, times: number, after: Buffer): Buffer {
  const most = Math.max(1, Math.floor((LONGEST - before.length - after.length) / Math.max(1, piece.length)));
  return Buffer.concat([before, ...new Array<Buffer>(Math.min(times, most)).fill(piece), after]);
}
