import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Compression } from '../../../src/build/compression.ts';
import { makeTortureTree, text } from '../../squashfs/torture-tree.ts';
import { built, type Chain, chainIn, settle } from './chain.ts';
import { expectSameTrees } from './same-images.ts';

let chain: Chain;

beforeAll(async () => {
  chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'incremental-')));
  await makeTortureTree(chain.source);
  await settle();
}, 120_000);

afterAll(() => fs.rmSync(chain.directory, { recursive: true, force: true }), 120_000);

const COMPRESSIONS: readonly Compression[] = [
  { type: 'zstd', level: 6 },
  { type: 'none', level: 0 },
];

it.each(COMPRESSIONS)('a tree with all that squashfs can hold, packed with $type $level', async (compression) => {
  const former = await chain.full({ compression });
  const same = chain.request(former, { compression });
  const nothing = await built(same);
  expect(nothing.written).toEqual([]);
  expect(nothing.stats).toMatchObject({ written: 0, appendedBytes: 0, deadBytes: 0 });
  await expectSameTrees(former.image, same.target, chain.directory);

  const at = (name: string): string => path.join(chain.source, name);
  const mark = `${compression.type}-${compression.level}`;
  fs.writeFileSync(at('files/small-7'), text(mark.length, 2000 + mark.length));
  fs.writeFileSync(at(`many/new-${mark}`), mark);
  fs.renameSync(at('directories/d17'), at('directories/d17-moved'));
  fs.renameSync(at('directories/d17-moved'), at('directories/d17'));
  execFileSync('setfattr', ['-n', 'user.late', '-v', mark, at('files/small-10')]);
  fs.mkdirSync(at(`moved-${mark}`));
  fs.renameSync(at('attributes'), at(`moved-${mark}/attributes`));
  const changes = chain.request(await chain.finish(same), { compression });
  const result = await built(changes);
  expect([...result.written].sort()).toEqual(['files/small-10', 'files/small-7', `many/new-${mark}`]);
  const full = await chain.full({ compression });
  await expectSameTrees(full.image, changes.target, chain.directory);
  fs.renameSync(at(`moved-${mark}/attributes`), at('attributes'));
});
