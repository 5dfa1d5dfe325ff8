import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Compression } from '../../../src/build/compression.ts';
import { formatProblem } from '../../../src/build/incremental/format.ts';
import { openImage } from '../../../src/squashfs/image-file.ts';
import { type Chain, chainIn } from './chain.ts';

let chain: Chain;

beforeAll(() => {
  chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'format-')));
  fs.writeFileSync(path.join(chain.source, 'file'), 'content');
});

afterAll(() => fs.rmSync(chain.directory, { recursive: true, force: true }));

const ALL: readonly Compression[] = [
  { type: 'gzip', level: 0 },
  { type: 'gzip', level: 6 },
  { type: 'zstd', level: 0 },
  { type: 'zstd', level: 6 },
  { type: 'lz4', level: 0 },
  { type: 'xz', level: 0 },
  { type: 'lzo', level: 0 },
  { type: 'lzo', level: 3 },
  { type: 'none', level: 0 },
];

it.each(ALL)(
  'an image that a full build makes with $type $level is told from those of all others',
  async (compression) => {
    const image = openImage((await chain.full({ compression })).image);
    const fitting = ALL.filter((wanted) => formatProblem(image, wanted) === null);
    image.close();
    expect(fitting).toEqual([compression]);
  },
);
