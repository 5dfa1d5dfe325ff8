import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountOnce } from '../../src/checks/mount-once.ts';
import { CancelledError } from '../../src/errors.ts';
import { leftovers } from '../end-to-end/server.ts';

/** Milliseconds, against hanging alone. */
const LIMIT = 60_000;

let directory: string;
let image: string;
let mountPoint: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mount-once-'));
  image = path.join(directory, 'it.img');
  mountPoint = path.join(directory, 'mnt');
  fs.mkdirSync(mountPoint);
  fs.mkdirSync(path.join(directory, 'tree'));
  fs.writeFileSync(path.join(directory, 'tree/motd'), 'hello\n');
  execFileSync('mksquashfs', [path.join(directory, 'tree'), image, '-quiet', '-no-progress']);
});
afterEach(() => {
  expect(leftovers(directory)).toEqual([]);
  fs.rmSync(directory, { recursive: true });
});

describe('an image that is mounted once', () => {
  it('is the same for all who ask, and gone after it was closed', async () => {
    const mount = mountOnce(image, mountPoint, LIMIT, new AbortController().signal);
    const [one, other] = await Promise.all([mount.root(), mount.root()]);
    expect(one).toBe(other);
    expect(fs.readFileSync(path.join(one, 'motd'), 'utf8')).toBe('hello\n');
    await mount.close();
    expect(fs.existsSync(path.join(one, 'motd'))).toBe(false);
  });

  it('needs no closing when nobody asked, and closes after it could not be mounted', async () => {
    await mountOnce(image, mountPoint, LIMIT, new AbortController().signal).close();
    fs.writeFileSync(image, '');
    const mount = mountOnce(image, mountPoint, LIMIT, new AbortController().signal);
    await expect(mount.root()).rejects.toThrow('the image does not mount');
    await mount.close();
  });

  it('whose mounting hangs is ended at its limit, which is a fault of the image', async () => {
    const bin = path.join(directory, 'bin');
    fs.mkdirSync(bin);
    fs.writeFileSync(path.join(bin, 'mount'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
    const former = process.env.PATH;
    process.env.PATH = `${bin}:${former}`;
    try {
      const mount = mountOnce(image, mountPoint, 300, new AbortController().signal);
      await expect(mount.root()).rejects.toThrow('mounting the image did not end within 0.3 s (check.timeout)');
      await mount.close();
    } finally {
      process.env.PATH = former;
    }
  });

  it('that was stopped says nothing of the image', async () => {
    const mount = mountOnce(image, mountPoint, LIMIT, AbortSignal.abort());
    await expect(mount.root()).rejects.toThrow(CancelledError);
    await mount.close();
  });
});
