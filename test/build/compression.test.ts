import { describe, expect, it } from 'vitest';
import { chooseCompression } from '../../src/build/compression.ts';

const auto = { compression: 'auto', level: 0 } as const;

describe('chooseCompression', () => {
  it.each([
    ['every kernel reads zstd', { kernels: ['6.1.0-1-amd64'], without: [] }, { type: 'zstd', level: 6 }],
    ['one of two kernels does not', { kernels: ['4.9.0', '6.1.0'], without: ['4.9.0'] }, { type: 'gzip', level: 6 }],
    ['there is no kernel to ask', { kernels: [], without: [] }, { type: 'gzip', level: 6 }],
  ] as const)('auto, %s', (_, support, compression) => {
    expect(chooseCompression(auto, support).compression).toEqual(compression);
  });

  it('names the kernel that stands in the way of zstd', () => {
    const { reason } = chooseCompression(auto, { kernels: ['4.9.0'], without: ['4.9.0'] });
    expect(reason).toBe('gzip: kernel 4.9.0 does not read zstd');
  });

  it('takes what is configured whatever the kernels say, with its level', () => {
    const support = { kernels: ['4.9.0'], without: ['4.9.0'] };
    expect(chooseCompression({ compression: 'zstd', level: 19 }, support).compression).toEqual({
      type: 'zstd',
      level: 19,
    });
  });

  it('gives no level to a compressor that has none', () => {
    const support = { kernels: [], without: [] };
    expect(chooseCompression({ compression: 'xz', level: 9 }, support).compression).toEqual({ type: 'xz', level: 0 });
  });

  it('never asks gzip for more than its highest level', () => {
    expect(chooseCompression({ compression: 'auto', level: 19 }, { kernels: [], without: [] }).compression.level).toBe(
      9,
    );
  });
});
