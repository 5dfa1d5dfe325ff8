import { expect, it } from 'vitest';
import { well } from '../../src/checks/check.ts';
import { ofReadableImage } from '../../src/checks/readable.ts';
import { RejectedError } from '../../src/errors.ts';

const signal = new AbortController().signal;

function checkThat(ends: () => void): ReturnType<typeof ofReadableImage> {
  const run = async (): Promise<ReturnType<typeof well>> => {
    ends();
    return well('fine');
  };
  return ofReadableImage({ name: 'it', run });
}

function failing(code: string): () => void {
  return () => {
    throw Object.assign(new Error(`${code}: openat2 'sbin/init'`), { code });
  };
}

it('what the kernel cannot read of a mounted image is a fault of the image', async () => {
  const running = checkThat(failing('EIO')).run(signal);
  await expect(running).rejects.toThrow(RejectedError);
  await expect(running).rejects.toThrow("the image cannot be read: EIO: openat2 'sbin/init'");
});

it('any other error is none, and a check that passes passes', async () => {
  await expect(checkThat(failing('EMFILE')).run(signal)).rejects.not.toThrow(RejectedError);
  expect(await checkThat(() => undefined).run(signal)).toEqual(well('fine'));
});
