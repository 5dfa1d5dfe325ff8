import { expect, it } from 'vitest';
import { CancelledError } from '../../src/errors.ts';
import { together } from '../../src/system/together.ts';

const never = new AbortController().signal;

/** Runs until it is told to stop, and then for one more turn. */
function stubborn(ended: () => void): (signal: AbortSignal) => Promise<string> {
  return (signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () =>
        setImmediate(() => {
          ended();
          reject(new CancelledError('stopped'));
        }),
      );
    });
}

it('gives all results in the order of the tasks', async () => {
  expect(await together<[number, string]>(never, [async () => 1, async () => 'two'])).toEqual([1, 'two']);
});

it('the first error counts, and comes when the others have ended', async () => {
  let ended = false;
  const failing = async (): Promise<string> => {
    throw new Error('no room');
  };
  const both = together<[string, string]>(never, [
    stubborn(() => {
      ended = true;
    }),
    failing,
  ]);
  await expect(both).rejects.toThrow('no room');
  expect(ended).toBe(true);
});

it('ends all of them when it is told to', async () => {
  let ended = 0;
  const count = (): void => {
    ended += 1;
  };
  const stop = new AbortController();
  const both = together<[string, string]>(stop.signal, [stubborn(count), stubborn(count)]);
  stop.abort();
  await expect(both).rejects.toThrow(CancelledError);
  expect(ended).toBe(2);
});
