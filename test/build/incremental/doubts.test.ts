import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { FormerGeneration } from '../../../src/build/incremental/former.ts';
import { buildIncrementally, type IncrementalRequest } from '../../../src/build/incremental.ts';
import { openImage } from '../../../src/squashfs/image-file.ts';
import { digestOf } from '../../../src/store/digest.ts';
import { bindManifest } from '../../../src/tree/manifest.ts';
import { text } from '../../squashfs/torture-tree.ts';
import { built, type Chain, chainIn, settle } from './chain.ts';

let chain: Chain;
let good: FormerGeneration;
/** A copy of it that a test may spoil. */
let former: FormerGeneration;

beforeAll(async () => {
  chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'doubts-')));
  fs.mkdirSync(path.join(chain.source, 'bin'));
  for (let i = 0; i < 20; i++) fs.writeFileSync(path.join(chain.source, `bin/${i}`), text(i, 3000 * i));
  fs.writeFileSync(path.join(chain.source, 'random'), crypto.randomBytes(500_000));
  await settle();
  good = await chain.full();
  copyGood();
});

function copyGood(): void {
  former = { ...good, image: path.join(chain.directory, 'former.img'), manifest: path.join(chain.directory, 'former') };
  fs.copyFileSync(good.image, former.image);
  fs.copyFileSync(good.manifest, former.manifest);
}

afterEach(copyGood);
afterAll(() => fs.rmSync(chain.directory, { recursive: true, force: true }));

/** It has to say so, leave nothing, and leave the former image alone. */
async function expectFull(request: IncrementalRequest, why: RegExp): Promise<void> {
  const { image } = former;
  const before = fs.existsSync(image) ? (await digestOf(image)).digest : null;
  expect(await buildIncrementally(request)).toEqual({ kind: 'full', why: expect.stringMatching(why) });
  expect(fs.existsSync(request.target)).toBe(false);
  expect(fs.existsSync(request.look.manifestFile)).toBe(false);
  expect(fs.existsSync(image) ? (await digestOf(image)).digest : null).toBe(before);
}

/** Changes the former image and says so in its record, as if it had been made like that. */
async function remake(change: (bytes: Buffer) => Buffer): Promise<FormerGeneration> {
  fs.writeFileSync(former.image, change(fs.readFileSync(former.image)));
  const { digest, size, sums } = await digestOf(former.image);
  const manifest = fs.readFileSync(former.manifest, 'latin1').replace(/^image\t.*\n/m, '');
  fs.writeFileSync(former.manifest, manifest, 'latin1');
  bindManifest(former.manifest, digest);
  return { ...former, digest, size, sums };
}

describe('what was built before can be built upon', () => {
  it('is what the cases below differ from', async () => {
    const { stats } = await built(chain.request(former));
    expect(stats).toMatchObject({ kept: 21, written: 0, deadBytes: 0 });
  });
});

describe('a former image that is to be built in full again', () => {
  it('is not there', async () => {
    await expectFull(chain.request(null), /there is no former image/);
    fs.rmSync(former.image);
    await expectFull(chain.request(former), /cannot read the image .*ENOENT/);
  });

  it('has no manifest, half of one, or one that was made for no image or for another', async () => {
    const whole = fs.readFileSync(former.manifest, 'latin1');
    const cases: [string, RegExp][] = [
      [whole.slice(0, whole.length / 2), /cannot read the manifest/],
      [whole.replace(/^image\t.*\n/m, ''), /manifest of the former image was not made for it/],
      [
        whole.replace(/^image\t.*\n/m, `image\t${'0'.repeat(64)}\n`),
        /manifest of the former image was not made for it/,
      ],
      [whole.replace(/^f\t0.*bin\/7\t$/m, 'nonsense'), /manifest of the former image is damaged/],
    ];
    for (const [manifest, why] of cases) {
      fs.writeFileSync(former.manifest, manifest, 'latin1');
      await expectFull(chain.request(former), why);
    }
    fs.rmSync(former.manifest);
    await expectFull(chain.request(former), /cannot read the manifest .*ENOENT/);
  });

  it.each([
    ['with checksums of its pieces', (one: FormerGeneration) => one],
    ['without', (one: FormerGeneration) => ({ ...one, sums: '' })],
  ])('has other bytes than were recorded, %s', async (_, record) => {
    const bytes = fs.readFileSync(former.image);
    bytes[300_000] = (bytes[300_000] ?? 0) ^ 1;
    fs.writeFileSync(former.image, bytes);
    const verify = { kind: 'sample', budget: 0, seed: 1 } as const;
    await expectFull(chain.request(record(former), { verify }), /not what its record says/);
  });

  it('is shorter or longer than it was', async () => {
    fs.truncateSync(former.image, former.size - 4096);
    await expectFull(chain.request(former), /it has \d+ bytes and should have|not what its record says/);
    copyGood();
    fs.appendFileSync(former.image, Buffer.alloc(4096));
    await expectFull(chain.request(former), /not what its record says/);
  });

  it('was compressed otherwise than it would be now', async () => {
    await expectFull(chain.request(former, { compression: { type: 'gzip', level: 2 } }), /not compressed with gzip 2/);
    await expectFull(chain.request(former, { compression: { type: 'zstd', level: 6 } }), /not compressed with zstd 6/);
    await expectFull(chain.request(former, { compression: { type: 'none', level: 0 } }), /not compressed with none/);
  });

  it.each([
    [['-b', '64K'], /blocks of 65536 bytes/],
    [['-no-fragments'], /other options/],
    [['-no-duplicates'], /other options/],
    [['-no-exports'], /other options/],
    [['-no-xattrs'], /other options/],
    [['-always-use-fragments'], /other options/],
    [['-Xstrategy', 'default,filtered'], /gzip with several strategies is not supported/],
  ] as const)('was made by mksquashfs with %s', async (options, why) => {
    const args = [chain.source, former.image, '-noappend', '-quiet', '-no-progress', '-Xcompression-level', '1'];
    execFileSync('mksquashfs', [...args, ...options]);
    await expectFull(chain.request(await remake((bytes) => bytes)), why);
  });

  it('is big-endian, of another version, has an unknown flag, or is none at all', async () => {
    const patched = (at: number, byte: number) => (bytes: Buffer) => bytes.fill(byte, at, at + 1);
    const cases: [(bytes: Buffer) => Buffer, RegExp][] = [
      [(bytes) => bytes.fill('sqsh', 0, 4, 'latin1'), /big-endian/],
      [patched(28, 3), /squashfs 3\.0/],
      [patched(25, 0x80), /flags/],
      [patched(20, 2), /lzma/],
      [(bytes) => crypto.randomBytes(bytes.length), /no squashfs/],
    ];
    for (const [change, why] of cases) {
      copyGood();
      await expectFull(chain.request(await remake(change)), why);
    }
  });

  it('has damaged tables', async () => {
    const image = openImage(former.image);
    const { inodeTable } = image.superblock;
    image.close();
    const damage = (bytes: Buffer): Buffer => bytes.fill(0xff, inodeTable + 10, inodeTable + 60);
    await expectFull(chain.request(await remake(damage)), /cannot read the image/);
  });

  it('has fewer files than its manifest', async () => {
    const other = path.join(chain.directory, 'other');
    execFileSync('cp', ['-a', chain.source, other]);
    fs.rmSync(path.join(other, 'bin/7'));
    const args = [other, former.image, '-noappend', '-quiet', '-no-progress', '-Xcompression-level', '1'];
    execFileSync('mksquashfs', args);
    await expectFull(chain.request(await remake((bytes) => bytes)), /the former image has no bin\/7/);
  });
});

describe('a new image that is not worth it', () => {
  it('has more unused data than the limit; up to the limit it is made', async () => {
    const limited = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'dead-')));
    try {
      for (let i = 0; i < 10; i++) fs.writeFileSync(path.join(limited.source, `${i}`), crypto.randomBytes(200_000));
      await settle();
      former = await limited.full();
      fs.rmSync(path.join(limited.source, '3'));
      // one of ten is unused: a ninth of what is used
      await expectFull(limited.request(former, { deadLimit: 0.11 }), /10 % of the data in the image would be unused/);
      const { stats } = await built(limited.request(former, { deadLimit: 0.112 }));
      expect(stats).toMatchObject({ dataBytes: 2_000_000, deadBytes: 200_000, appendedBytes: 0 });
    } finally {
      fs.rmSync(limited.directory, { recursive: true });
    }
  });
});

it('a full disk is an error and no reason to build in full; nothing stays', async () => {
  const small = path.join(chain.directory, 'small');
  fs.mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small]);
  try {
    const request = chain.request(former, { target: path.join(small, 'next.img') });
    await expect(buildIncrementally(request)).rejects.toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/cannot copy/),
        cause: expect.objectContaining({ code: 'ENOSPC' }),
      }),
    );
    expect(fs.readdirSync(small)).toEqual([]);
  } finally {
    execFileSync('umount', [small]);
  }
});
