import { describe, expect, it } from 'vitest';
import type { MountOnce } from '../../src/checks/mount-once.ts';
import { type Fault, strictCheck } from '../../src/checks/strictness.ts';
import { RejectedError } from '../../src/errors.ts';

const image: MountOnce = { root: async () => '/somewhere', close: async () => {} };
const bad: Fault = { text: 'a hole', weight: 'bad' };
const doubtful: Fault = { text: 'a scratch', weight: 'doubtful' };

async function run(strictness: 'warn' | 'refuse', ...faults: Fault[]) {
  const [check] = strictCheck('holes', strictness, image, async () => faults, 'no holes');
  return check?.run(new AbortController().signal);
}

describe('a check whose strictness the site decides', () => {
  it('is none with off', () => {
    expect(strictCheck('holes', 'off', image, async () => [bad], 'no holes')).toEqual([]);
  });

  it('warns of all, or refuses what is bad', async () => {
    expect(await run('warn', bad, doubtful)).toEqual({ message: '2 warnings', warnings: ['a hole', 'a scratch'] });
    await expect(run('refuse', bad, doubtful)).rejects.toThrow(new RejectedError('a hole'));
  });

  it('warns of what is only doubtful, also where it is to refuse', async () => {
    expect(await run('refuse', doubtful)).toEqual({ message: '1 warning', warnings: ['a scratch'] });
  });

  it('says that all is well', async () => {
    for (const strictness of ['warn', 'refuse'] as const)
      expect(await run(strictness)).toEqual({ message: 'no holes', warnings: [] });
  });
});
