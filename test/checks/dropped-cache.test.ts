import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestFromDisk, diskDigestCheck } from '../../src/checks/dropped-cache.ts';
import { CancelledError, RejectedError, UserError } from '../../src/errors.ts';
import { dropFromCache } from '../../src/system/posix.ts';

const CONTENT = randomBytes(3_000_001);
const DIGEST = createHash('sha256').update(CONTENT).digest('hex');

let directory: string;
let file: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dropped-cache-'));
  file = path.join(directory, 'it.img');
  fs.writeFileSync(file, CONTENT);
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

/** What of a file is in the page cache, as util-linux' fincore counts it by mincore(2). */
function residentBytes(of: string): number {
  return Number(execFileSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', of], { encoding: 'utf8' }));
}

function check(of: string, recorded: string): ReturnType<ReturnType<typeof diskDigestCheck>['run']> {
  return diskDigestCheck(of, recorded).run(new AbortController().signal);
}

describe('dropFromCache', () => {
  it('takes what is durable out of the cache, and counts as fincore does', () => {
    const fd = fs.openSync(file, 'r');
    try {
      fs.fsyncSync(fd);
      const pages = residentBytes(file) / 4096;
      const { before, after } = dropFromCache(fd);
      expect(residentBytes(file)).toBe(0);
      if (before.kind === 'known')
        expect([before, after]).toEqual([
          { kind: 'known', pages },
          { kind: 'known', pages: 0 },
        ]);
    } finally {
      fs.closeSync(fd);
    }
  });
});

describe('digestFromDisk', () => {
  it('is the digest of the bytes, and says where they came from', async () => {
    const { digest, from } = await digestFromDisk(file);
    expect(digest).toMatchObject({ digest: DIGEST, size: CONTENT.length });
    expect(['disk', 'unknown']).toContain(from.kind);
  });

  it('drops what was just written, and not yet durable', async () => {
    fs.appendFileSync(file, CONTENT);
    await digestFromDisk(file);
    // which leaves pages that are dirty
    const fd = fs.openSync(file, 'r');
    try {
      dropFromCache(fd);
      expect(residentBytes(file)).toBe(0);
    } finally {
      fs.closeSync(fd);
    }
  });

  it('says how much of it a tmpfs kept', async () => {
    const inMemory = fs.mkdtempSync('/dev/shm/dropped-cache-');
    try {
      const copy = path.join(inMemory, 'it.img');
      fs.writeFileSync(copy, CONTENT);
      const { digest, from } = await digestFromDisk(copy);
      expect(digest.digest).toBe(DIGEST);
      if (from.kind !== 'unknown') expect(from).toEqual({ kind: 'cache', kept: CONTENT.length });
    } finally {
      fs.rmSync(inMemory, { recursive: true });
    }
  });

  it('takes an empty file', async () => {
    fs.writeFileSync(file, '');
    expect((await digestFromDisk(file)).digest.size).toBe(0);
  });

  it('refuses a FIFO without waiting for it, and a symlink', async () => {
    execFileSync('mkfifo', [path.join(directory, 'fifo')]);
    await expect(digestFromDisk(path.join(directory, 'fifo'))).rejects.toThrow(UserError);
    fs.symlinkSync('it.img', path.join(directory, 'link'));
    await expect(digestFromDisk(path.join(directory, 'link'))).rejects.toThrow('ELOOP');
  });

  it('stops when it is told to', async () => {
    await expect(digestFromDisk(file, AbortSignal.abort())).rejects.toThrow(CancelledError);
  });
});

describe('the digest check below the page cache', () => {
  it('passes a file that has the recorded digest', async () => {
    expect((await check(file, DIGEST)).message).toMatch(/^3000001 bytes have the recorded digest, /);
  });

  it('rejects one with a flipped bit', async () => {
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.from([(CONTENT[1_234_567] ?? 0) ^ 1]), 0, 1, 1_234_567);
    fs.closeSync(fd);
    await expect(check(file, DIGEST)).rejects.toThrow(RejectedError);
    await expect(check(file, DIGEST)).rejects.toThrow(`recorded is ${DIGEST}`);
  });
});
