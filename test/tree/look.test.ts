import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { mountImage } from '../../src/system/mounts.ts';
import { compareImage, compareWalk, type Difference, type LookRequest, look } from '../../src/tree/look.ts';

let directory: string;
let root: string;
let manifestFile: string;
let request: LookRequest & { manifestFile: string };

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'look-'));
  root = path.join(directory, 'chroot');
  manifestFile = path.join(directory, 'manifest');
  fs.mkdirSync(path.join(root, 'usr/bin'), { recursive: true });
  fs.mkdirSync(path.join(root, 'var/log'), { recursive: true });
  fs.mkdirSync(path.join(root, 'tmp'));
  fs.writeFileSync(path.join(root, 'usr/bin/true'), 'program');
  fs.linkSync(path.join(root, 'usr/bin/true'), path.join(root, 'usr/bin/hard'));
  fs.symlinkSync('usr/bin', path.join(root, 'bin'));
  fs.writeFileSync(Buffer.from(`${root}/caf\xe9`, 'latin1'), '');
  execFileSync('mknod', [path.join(root, 'device'), 'b', '7', '300']);
  execFileSync('mkfifo', [path.join(root, 'fifo')]);
  fs.writeFileSync(path.join(root, 'var/log/syslog'), 'a line\n');
  fs.writeFileSync(path.join(root, 'tmp/scratch'), 'x');
  request = { root, excludePatterns: ['tmp/*'], ignorePatterns: ['var/log'], skipContents: [], manifestFile };
});

afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

test('a look tells digest, entries and bytes, each hard-linked file once', () => {
  const found = look(request);
  expect(found.digest).toMatch(/^[0-9a-f]{64}$/);
  // the root, usr, usr/bin with two names, bin, the byte name, device, fifo, var, var/log, syslog, tmp
  expect(found.entries).toBe(13);
  expect(found.bytes).toBe('program'.length + 'a line\n'.length);
});

test('the digest stays while nothing changes, and when only what is excluded or ignored does', () => {
  const { digest } = look(request);
  expect(look(request).digest).toBe(digest);
  fs.writeFileSync(path.join(root, 'var/log/syslog'), 'more');
  fs.writeFileSync(path.join(root, 'var/log/auth.log'), 'more');
  fs.writeFileSync(path.join(root, 'tmp/other'), 'more');
  expect(look(request).digest).toBe(digest);
});

test('content written with its former size and time is another digest', () => {
  const { digest } = look(request);
  const file = path.join(root, 'usr/bin/true');
  const { atime, mtime } = fs.statSync(file);
  waitForAnotherTick();
  fs.writeFileSync(file, 'PROGRAM');
  fs.utimesSync(file, atime, mtime);
  expect(look(request).digest).not.toBe(digest);
});

test('a second walk finds what changed since the first', () => {
  waitForAnotherTick();
  look(request);
  expect(compareWalk(request)).toEqual([]);
  fs.writeFileSync(path.join(root, 'usr/bin/new'), '');
  fs.writeFileSync(path.join(root, 'var/log/syslog'), 'more');
  expect(compareWalk(request).map(({ message }) => message)).toEqual([
    'usr/bin had names added or removed',
    'usr/bin/new was added',
  ]);
});

test('a file written after the walk began is not trusted, although both walks see the same', () => {
  look(request);
  const manifest = fs.readFileSync(manifestFile, 'latin1');
  const { ctimeNs } = fs.statSync(path.join(root, 'usr/bin/true'), { bigint: true });
  fs.writeFileSync(manifestFile, manifest.replace(/^started\t.*$/m, `started\t${ctimeNs}`), 'latin1');
  expect(compareWalk(request).map(({ path: changed }) => changed)).toContain('usr/bin/true');
});

test('a real image has no difference from its source', async () => {
  look(request);
  const image = makeImage();
  expect(await compareWith(image)).toEqual([]);
});

test('an ignored file that appeared while the image was made is no difference', async () => {
  look(request);
  fs.writeFileSync(path.join(root, 'var/log/auth.log'), 'x');
  fs.writeFileSync(path.join(root, 'var/log/syslog'), 'longer than before');
  expect(await compareWith(makeImage())).toEqual([]);
});

test('an image of another state of the source differs, and so does one without the excludes', async () => {
  look(request);
  fs.rmSync(path.join(root, 'usr/bin/hard'));
  fs.truncateSync(path.join(root, 'usr/bin/true'), 3);
  const image = makeImage([]);
  const messages = (await compareWith(image)).map(({ message }) => message);
  expect(messages).toEqual([
    'usr/bin/hard is missing',
    'usr/bin/true has 3 bytes instead of 7',
    'tmp/scratch is in the image and was not in the chroot',
  ]);
});

test('an image with a damaged table has differences, it does not end the comparison', async () => {
  for (let index = 0; index < 2000; index++) fs.writeFileSync(path.join(root, `usr/bin/file-${index}`), '');
  look(request);
  const image = makeImage();
  const bytes = fs.readFileSync(image);
  // squashfs 4.0: bytes 64 to 71 of the superblock say where the inode table begins
  const inodeTable = Number(bytes.readBigUInt64LE(64));
  bytes.fill(0xff, inodeTable + 2, inodeTable + 400);
  fs.writeFileSync(image, bytes);
  const differences = await compareWith(image);
  expect(differences.length).toBe(20);
  expect(differences[0]?.message).toMatch(/cannot be read \(\w+\)$/);
});

test('a pattern that cannot be used is the fault of the config', () => {
  expect(() => look({ ...request, excludePatterns: ['/tmp'] })).toThrow(UsageError);
});

function makeImage(excludes = ['tmp/*']): string {
  const image = path.join(directory, 'image');
  const options = ['-noappend', '-quiet', '-no-progress', '-comp', 'zstd', '-wildcards'];
  execFileSync('mksquashfs', [root, image, ...options, '-e', ...excludes, 'nothing'], { stdio: 'ignore' });
  return image;
}

async function compareWith(image: string): Promise<Difference[]> {
  const mountPoint = path.join(directory, 'mounted');
  fs.mkdirSync(mountPoint, { recursive: true });
  const mounted = await mountImage(image, mountPoint);
  try {
    return compareImage({ root: mounted.root, manifestFile, limit: 20 });
  } finally {
    await mounted.close();
  }
}

/** Until the kernel's coarse clock has moved on by more than a comparison allows for. */
function waitForAnotherTick(): void {
  const began = coarseNow();
  while (coarseNow() <= began + 20_000_000n);
}

function coarseNow(): bigint {
  const probe = path.join(directory, 'probe');
  fs.writeFileSync(probe, '');
  return fs.statSync(probe, { bigint: true }).ctimeNs;
}
