import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompareRequest, Comparison } from '../../src/checks/sample/compare.ts';
import { comparisonWords, contentsInProcesses, contentsInThread } from '../../src/checks/sample.ts';
import { CancelledError, UserError } from '../../src/errors.ts';
import { mountImage } from '../../src/system/mounts.ts';
import { look } from '../../src/tree/look.ts';
import { leftovers } from '../end-to-end/server.ts';

let bundles: string;
let comparer: string;
let directory: string;
let request: Omit<CompareRequest, 'image'>;
let data: { from: number; to: number };

beforeAll(async () => {
  // below node_modules, so that the bundle finds koffi
  const cache = path.resolve('node_modules/.cache');
  fs.mkdirSync(cache, { recursive: true });
  bundles = fs.mkdtempSync(path.join(cache, 'content-comparer-'));
  comparer = path.join(bundles, 'content-comparer.mjs');
  await build({
    entryPoints: ['src/checks/sample/comparer.ts'],
    outfile: comparer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    logLevel: 'error',
  });
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sample-'));
  fs.mkdirSync(path.join(directory, 'mnt'));
  const source = path.join(directory, 'source');
  fs.mkdirSync(source);
  // half of it can be compressed, and files of all sizes
  for (let count = 0; count < 200; count += 1) {
    const half = randomBytes(count ** 2);
    fs.writeFileSync(path.join(source, `file-${count}`), Buffer.concat([half, Buffer.alloc(count ** 2, 'abc')]));
  }
  const manifestFile = path.join(directory, 'manifest');
  look({ root: source, excludePatterns: [], ignorePatterns: [], skipContents: [], manifestFile });
  request = { source, manifestFile, extent: { kind: 'all' }, limit: 3 };
});
afterAll(() => {
  expect(leftovers(directory)).toEqual([]);
  fs.rmSync(bundles, { recursive: true, force: true });
  fs.rmSync(directory, { recursive: true, force: true });
});

function makeImage(compressor: string): string {
  const image = path.join(directory, `${compressor}.img`);
  const options = ['-comp', compressor, '-noappend', '-quiet', '-no-progress'];
  execFileSync('mksquashfs', [request.source, image, ...options]);
  // squashfs 4.0: the data comes after the superblock and the compressor's options, before the inode table
  const superblock = fs.readFileSync(image).subarray(0, 96);
  data = { from: 96 + 16, to: Number(superblock.readBigUInt64LE(64)) };
  return image;
}

async function inMounted<T>(image: string, use: (root: string) => Promise<T>): Promise<T> {
  const mounted = await mountImage(image, path.join(directory, 'mnt'));
  try {
    return await use(mounted.root);
  } finally {
    await mounted.close();
  }
}

describe('the contents of a mounted image', () => {
  it.each(['gzip', 'zstd'])('are those of the source, and processes find what this thread does (%s)', async (one) => {
    await inMounted(makeImage(one), async (image) => {
      const here = await contentsInThread({ ...request, image });
      expect(here).toMatchObject({ files: 200, differences: [], untold: 0 });
      expect(await contentsInProcesses(comparer, 3)({ ...request, image })).toEqual(here);
    });
  });

  it.each(['gzip', 'zstd'])(
    'with a flipped bit in its data differ, if a client can read it at all (%s)',
    async (one) => {
      const image = makeImage(one);
      let found = 0;
      for (let trial = 0; trial < 12; trial += 1) {
        const spoiled = path.join(directory, 'spoiled.img');
        fs.copyFileSync(image, spoiled);
        const position = data.from + Math.floor(((data.to - data.from) * (trial + 0.5)) / 12);
        const fd = fs.openSync(spoiled, 'r+');
        const byte = Buffer.alloc(1);
        fs.readSync(fd, byte, 0, 1, position);
        fs.writeSync(fd, Buffer.from([(byte[0] ?? 0) ^ (1 << (trial % 8))]), 0, 1, position);
        fs.closeSync(fd);
        await inMounted(spoiled, async (root) => {
          const { differences } = await contentsInThread({ ...request, image: root });
          const isSame = sameBytes(root);
          expect(differences.length === 0).toBe(isSame);
          if (!isSame) found += 1;
        });
      }
      expect(found).toBeGreaterThan(6);
    },
  );

  /** By diff(1), which knows nothing of ours. */
  function sameBytes(root: string): boolean {
    try {
      execFileSync('diff', ['-rq', request.source, root], { stdio: 'pipe' });
      return true;
    } catch {
      return false;
    }
  }

  it('that differ in many files are named up to the limit, whichever process found them', async () => {
    const image = path.join(directory, 'copy');
    fs.cpSync(request.source, image, { recursive: true });
    for (const name of fs.readdirSync(image)) fs.appendFileSync(path.join(image, name), 'x');
    const { differences } = await contentsInProcesses(comparer, 2)({ ...request, image });
    expect(differences).toHaveLength(3);
    expect(differences.map(({ path }) => path)).toEqual(differences.map(({ path }) => path).sort());
  });

  it('that cannot be compared are an error, not a difference', async () => {
    const compare = contentsInProcesses(comparer, 2);
    const image = path.join(directory, 'mnt');
    await expect(compare({ ...request, image, manifestFile: '/none' })).rejects.toThrow(UserError);
    await expect(compare({ ...request, image: '/none/at/all' })).rejects.toThrow(/^cannot compare \/none\/at\/all/);
  });

  it('are not compared any more when the signal says so', async () => {
    const image = request.source;
    for (const compare of [contentsInThread, contentsInProcesses(comparer)]) {
      await expect(compare({ ...request, image }, AbortSignal.abort())).rejects.toThrow(CancelledError);
    }
    const stop = new AbortController();
    const running = contentsInProcesses(comparer)({ ...request, image }, stop.signal);
    stop.abort();
    await expect(running).rejects.toThrow(CancelledError);
  });
});

it('words say how many files and bytes were compared', () => {
  const result: Comparison = { files: 17_267, bytes: 711_000_000, differences: [], untold: 0, changed: [] };
  expect(comparisonWords(result)).toBe("17267 files with 711 MB were compared with the chroot's");
  expect(comparisonWords({ ...result, untold: 2 })).toMatch(/ \(2 changed since they were read\)$/);
});
