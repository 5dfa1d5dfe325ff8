import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CancelledError } from '../../src/errors.ts';
import { digestNow, digestOf } from '../../src/store/digest.ts';

let directory: string;
beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'digest-'));
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

it.each([0, 1, 2 ** 21 - 1, 2 ** 21, 2 ** 21 + 1, 7_000_001])('a file of %i bytes has its SHA-256', async (size) => {
  const bytes = randomBytes(size);
  const file = path.join(directory, 'file');
  fs.writeFileSync(file, bytes);
  const expected = { digest: createHash('sha256').update(bytes).digest('hex'), size };
  expect(await digestOf(file)).toMatchObject(expected);
  expect(digestNow(file)).toMatchObject(expected);
});

it('stops when it is told to', async () => {
  const file = path.join(directory, 'large');
  fs.writeFileSync(file, randomBytes(10_000_000));
  const abort = new AbortController();
  const running = digestOf(file, abort.signal);
  abort.abort();
  await expect(running).rejects.toThrow(CancelledError);
});

it('a FIFO or a link in place of an image is refused and hangs nothing', async () => {
  const fifo = path.join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  await expect(digestOf(fifo)).rejects.toThrow('not a regular file');
  expect(() => digestNow(fifo)).toThrow('not a regular file');
  fs.symlinkSync('/etc/passwd', path.join(directory, 'link'));
  await expect(digestOf(path.join(directory, 'link'))).rejects.toThrow('ELOOP');
});
