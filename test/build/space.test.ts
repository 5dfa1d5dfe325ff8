import os from 'node:os';
import { describe, expect, it } from 'vitest';
import { compressionName, requireSpace, spaceNeeded } from '../../src/build/space.ts';

describe('spaceNeeded', () => {
  const zstd = { type: 'zstd', level: 6 } as const;

  it('goes by the last image of the same compression', () => {
    expect(spaceNeeded(700e6, zstd, { size: 231e6, compression: 'zstd 6' })).toBe(277_200_000);
  });

  it('goes by the size of the tree when there is none, or one of another compression', () => {
    expect(spaceNeeded(700e6, zstd, null)).toBe(315_000_000);
    expect(spaceNeeded(700e6, zstd, { size: 241e6, compression: 'gzip' })).toBe(315_000_000);
    expect(spaceNeeded(700e6, { type: 'none', level: 0 }, null)).toBeGreaterThan(700e6);
  });
});

it('compressionName leaves a default level out', () => {
  expect(compressionName({ type: 'gzip', level: 0 })).toBe('gzip');
  expect(compressionName({ type: 'zstd', level: 6 })).toBe('zstd 6');
});

describe('requireSpace', () => {
  it('says what is needed and what is free', () => {
    expect(() => requireSpace('amd64', os.tmpdir(), 1e18)).toThrow(
      /^cannot build amd64: about 1000000000000 MB needed in .*, \d+ MB free \(make room there; /,
    );
  });

  it('is content when there is room', () => {
    expect(() => requireSpace('amd64', os.tmpdir(), 1)).not.toThrow();
  });
});
