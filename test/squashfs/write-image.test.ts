import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountImage } from '../../src/system/mounts.ts';
import { mksquashfs, rebuild } from './images.ts';
import { listing, rsyncDifferences } from './same-trees.ts';
import { BLOCK, makeTortureTree, text } from './torture-tree.ts';

let directory: string;
let source: string;
let changed: string;
let former: string;
let full: string;
let next: string;

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'write-image-'));
  source = path.join(directory, 'source');
  changed = path.join(directory, 'changed');
  former = path.join(directory, 'former.img');
  full = path.join(directory, 'full.img');
  next = path.join(directory, 'next.img');
  for (const name of ['source', 'one', 'other']) fs.mkdirSync(path.join(directory, name));
  await makeTortureTree(source);
  execFileSync('cp', ['-a', source, changed]);
  change(changed);
}, 120_000);

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }), 120_000);

const VARIANTS: readonly (readonly string[])[] = [
  ['-comp', 'gzip', '-Xcompression-level', '1'],
  ['-comp', 'gzip', '-Xwindow-size', '10'],
  ['-comp', 'zstd', '-Xcompression-level', '6'],
  ['-comp', 'lz4'],
  ['-comp', 'lz4', '-Xhc'],
  ['-comp', 'xz'],
  ['-comp', 'xz', '-Xdict-size', '8K', '-b', '16K'],
  ['-comp', 'lzo'],
  ['-comp', 'lzo', '-Xalgorithm', 'lzo1x_1'],
  ['-noI', '-noD', '-noF', '-noX', '-no-exports'],
  ['-comp', 'zstd', '-b', '4K', '-no-fragments', '-no-duplicates'],
  ['-comp', 'zstd', '-b', '1M', '-always-use-fragments'],
];

describe.each(VARIANTS.map((args) => ({ args, title: args.join(' ') })))(
  'an image of mksquashfs $title',
  ({ args }) => {
    it('gives its own tree when every file is kept, and after changes the tree that mksquashfs makes', async () => {
      mksquashfs(source, former, args);
      const kept = await rebuild(source, former, next, { known: 'nothing', keep: 'same content' });
      expect(kept.read).toEqual([]);
      expect(kept).toMatchObject({ appendedBytes: 0, deadBytes: 0 });
      await expectSameTrees(former, next);

      const changes = await rebuild(changed, former, next, { known: 'old contents', keep: 'same content' });
      expect(changes.read).toContain('files/small-7');
      mksquashfs(changed, full, args);
      await expectSameTrees(full, next);
      expectUnsquashes(next);
    });
  },
);

function change(root: string): void {
  const at = (name: string): string => path.join(root, name);
  fs.writeFileSync(at('files/small-7'), text(70_000, 2000));
  fs.writeFileSync(at(`files/text-${BLOCK}`), text(80_000, BLOCK + 500));
  fs.appendFileSync(at(`files/random-${5 * BLOCK + 17}`), 'more');
  fs.truncateSync(at('files/holes'), 30 * BLOCK);
  fs.renameSync(at(`files/text-${3 * BLOCK}`), at('links/moved'));
  fs.renameSync(at('directories/d17'), at('renamed'));
  fs.rmSync(at('links/hard'));
  fs.rmSync(at('owners/100'));
  fs.rmSync(at('deep/level-0/level-1'), { recursive: true });
  fs.writeFileSync(at('many/zzz-new'), 'new');
  fs.writeFileSync(at('many/000-new'), 'new');
  fs.copyFileSync(at('files/text-100'), at('copy'));
  fs.copyFileSync(at('files/small-20'), at('copy-of-small'));
  fs.symlinkSync('elsewhere', at('links/new'));
  fs.chownSync(at('files/small-9'), 77_777, 5);
  fs.chmodSync(at('directories/d18'), 0o700);
  execFileSync('setfattr', ['-n', 'user.late', '-v', 'value', at('files/small-10')]);
}

async function expectSameTrees(one: string, other: string): Promise<void> {
  expect(await mountedListing(other)).toEqual(await mountedListing(one));
  expect(rsyncDifferences(one, other, [path.join(directory, 'one'), path.join(directory, 'other')])).toBe('');
}

async function mountedListing(image: string): Promise<string[]> {
  const mounted = await mountImage(image, path.join(directory, 'one'));
  try {
    return listing(mounted.root);
  } finally {
    await mounted.close();
  }
}

/** It ends with an error for what it cannot make, and says each thing that it does not like. */
function expectUnsquashes(image: string): void {
  const target = path.join(directory, 'extracted');
  const args = ['-quiet', '-no-progress', '-strict-errors', '-dest', target, image];
  const output = execFileSync('unsquashfs', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  expect(output.trim()).toBe('');
  expect(fs.readdirSync(target)).toEqual(fs.readdirSync(changed));
  fs.rmSync(target, { recursive: true });
}
