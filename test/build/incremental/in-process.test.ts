import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { incrementalInProcess } from '../../../src/build/incremental/in-process.ts';
import { CancelledError, UserError } from '../../../src/errors.ts';
import { type Chain, chainIn, settle } from './chain.ts';
import { expectSameTrees } from './same-images.ts';

const top = path.join(import.meta.dirname, '../../..');
let chain: Chain;
let writer: string;

beforeAll(async () => {
  chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'in-process-')));
  writer = path.join(chain.directory, 'writer.mjs');
  fs.symlinkSync(path.join(top, 'node_modules'), path.join(chain.directory, 'node_modules'));
  await build({
    absWorkingDir: top,
    entryPoints: ['src/build/incremental/writer.ts'],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    banner: { js: "import { createRequire as c_ } from 'node:module'; const require = c_(import.meta.url);" },
  });
  fs.writeFileSync(path.join(chain.source, 'file'), 'content');
  await settle();
});

afterAll(() => fs.rmSync(chain.directory, { recursive: true, force: true }));

it('a build in a process of its own gives the image, what was read, and the look at the tree', async () => {
  const former = await chain.full();
  fs.writeFileSync(path.join(chain.source, 'n\xe4me'), 'new');
  const request = chain.request(former);
  const result = await incrementalInProcess(writer)(request);
  expect(result).toMatchObject({
    kind: 'built',
    written: [Buffer.from('n\xe4me').toString('latin1')],
    look: { entries: 3, bytes: 10 },
    stats: { kept: 1, written: 1 },
  });
  await expectSameTrees((await chain.full()).image, request.target, chain.directory);
});

it('a doubt comes over as one, an error as one', async () => {
  const write = incrementalInProcess(writer);
  expect(await write(chain.request(null))).toEqual({ kind: 'full', why: 'there is no former image' });
  const request = chain.request(await chain.full());
  const look = { ...request.look, root: path.join(chain.directory, 'nowhere') };
  await expect(write({ ...request, look })).rejects.toThrow(UserError);
});

it('a process that ends without a word leaves it to a full build', async () => {
  const dies = path.join(chain.directory, 'dies.mjs');
  fs.writeFileSync(dies, 'process.exit(9);\n');
  const result = await incrementalInProcess(dies)(chain.request(await chain.full()));
  expect(result).toEqual({ kind: 'full', why: expect.stringMatching(/ended early.*status 9/) });
});

it('a build that is stopped leaves nothing', async () => {
  const waits = path.join(chain.directory, 'waits.mjs');
  const request = chain.request(await chain.full());
  fs.writeFileSync(waits, `fs.writeFileSync(${JSON.stringify(request.target)}, ''); setInterval(() => {}, 1000);\n`);
  fs.writeFileSync(waits, `import fs from 'node:fs';\n${fs.readFileSync(waits, 'utf8')}`);
  const stop = new AbortController();
  const running = incrementalInProcess(waits)(request, stop.signal);
  const watcher = fs.watch(chain.directory, () => {
    if (fs.existsSync(request.target)) stop.abort();
  });
  await expect(running).rejects.toThrow(CancelledError);
  watcher.close();
  expect(fs.existsSync(request.target)).toBe(false);
});
