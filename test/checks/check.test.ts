import { describe, expect, it } from 'vitest';
import { type Check, runChecks, well } from '../../src/checks/check.ts';
import { CancelledError, RejectedError } from '../../src/errors.ts';

const never = new AbortController().signal;
const good: Check = { name: 'good', run: async () => well('fine') };
const bad = (name: string): Check => ({
  name,
  run: async () => {
    throw new RejectedError(`${name} found a fault`);
  },
});
/** Ends only when it is told to, as one that waits for a device. */
const hanging = (name: string, onEnd = (): void => {}): Check => ({
  name,
  run: (signal) =>
    new Promise((_, reject) => {
      const end = (): void => {
        onEnd();
        reject(new CancelledError(`${name} was stopped`));
      };
      signal.addEventListener('abort', end);
    }),
});

describe('runChecks', () => {
  it('passes when all pass, with what each saw', async () => {
    const verdict = await runChecks([good, { ...good, name: 'other' }], 1000, never);
    expect(verdict.kind).toBe('passed');
    expect(verdict.results.map(({ name, passed, message }) => ({ name, passed, message }))).toEqual([
      { name: 'good', passed: true, message: 'fine' },
      { name: 'other', passed: true, message: 'fine' },
    ]);
  });

  it('rejects with every fault that was found', async () => {
    const verdict = await runChecks([bad('one'), good, bad('two')], 1000, never);
    expect(verdict).toMatchObject({ kind: 'rejected', reason: 'one found a fault; two found a fault' });
    expect(verdict.results.map(({ passed }) => passed)).toEqual([false, true, false]);
  });

  it('rejects an image whose check does not end', async () => {
    const verdict = await runChecks([good, hanging('slow')], 20, never);
    expect(verdict).toMatchObject({ kind: 'rejected', reason: 'slow: no result after 0.02 s (check.timeout)' });
  });

  it('says one fault once that several checks found, as one of an image that does not mount', async () => {
    const unmounted = { ...bad('the mount'), name: 'other' };
    const verdict = await runChecks([bad('the mount'), unmounted], 1000, never);
    expect(verdict).toMatchObject({ reason: 'the mount found a fault' });
  });

  it('keeps the warnings of an image that passes', async () => {
    const warned: Check = { name: 'warned', run: async () => ({ message: 'fair', warnings: ['one', 'two'] }) };
    const verdict = await runChecks([good, warned], 1000, never);
    expect(verdict.kind).toBe('passed');
    expect(verdict.results.map(({ warnings }) => warnings)).toEqual([[], ['one', 'two']]);
  });

  it('a check that could not be made is no verdict, and ends the others first', async () => {
    let ended = false;
    const unmade: Check = {
      name: 'unmade',
      run: async () => {
        throw new Error('no free loop device');
      },
    };
    const others = hanging('other', () => {
      ended = true;
    });
    await expect(runChecks([others, unmade], 60_000, never)).rejects.toThrow('no free loop device');
    expect(ended).toBe(true);
  });

  it('is cancelled as a whole', async () => {
    const stop = new AbortController();
    const running = runChecks([hanging('one'), good], 60_000, stop.signal);
    stop.abort();
    await expect(running).rejects.toThrow(CancelledError);
  });
});
