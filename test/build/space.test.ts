import os from 'node:os';
import { describe, expect, it } from 'vitest';
import { compressionName, requireSpace, spaceByFormer, spaceByTree } from '../../src/build/space.ts';

const zstd = { type: 'zstd', level: 6 } as const;

it('the last image of the same compression says best how much is needed', () => {
  expect(spaceByFormer(zstd, { size: 231e6, compression: 'zstd 6' })).toBe(277_200_000);
  expect(spaceByFormer(zstd, { size: 241e6, compression: 'gzip' })).toBeNull();
  expect(spaceByFormer(zstd, null)).toBeNull();
});

it('else it goes by the tree, which none of the compressors makes larger', () => {
  expect(spaceByTree(zstd, 700e6)).toBe(315_000_000);
  expect(spaceByTree({ type: 'none', level: 0 }, 700e6)).toBeGreaterThan(700e6);
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
