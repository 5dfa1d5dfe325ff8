import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBoot } from '../../../src/serve/boot-files/boot.ts';
import { planBootDirectory } from '../../../src/serve/boot-files/layout.ts';
import { runTrial } from './tftp-trial.ts';

let directory: string;
let client: string;
beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tftp-'));
  client = path.join(directory, 'client.mjs');
  const source = fileURLToPath(new URL('tftp-loop.ts', import.meta.url));
  await build({ entryPoints: [source], bundle: true, platform: 'node', format: 'esm', outfile: client });
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

const SMALL = { sizes: { kernel: 300_000, initrd: 900_001 }, blockSizes: [512, 1408, 8192] };

it('PXE clients never get a torn, missing or stale file while images are published and taken back', async () => {
  const counts = await runTrial({ ...SMALL, publishes: 24, client });
  expect(counts).toMatchObject({ publishes: 24, undos: 12, torn: 0, missing: 0, stale: 0, unexplained: 0 });
  expect(counts.pairs).toBeGreaterThan(24);
  expect(counts.images).toBeGreaterThan(10);
});

it('the same clients see what is wrong where files are written in place', async () => {
  const counts = await runTrial({
    ...SMALL,
    publishes: 12,
    client,
    publish: async ({ image, tftp }, log) => {
      const live = path.join(tftp, 'ltsp/amd64');
      const { files, links } = planBootDirectory(await readBoot(image), { layout: 'ltsp5' });
      const copy = (): void => {
        for (const file of fs.existsSync(live) ? fs.readdirSync(live) : []) fs.truncateSync(path.join(live, file));
        fs.mkdirSync(live, { recursive: true });
        for (const file of files) fs.copyFileSync(path.join(image, 'boot', file.from), path.join(live, file.path));
        for (const link of links) {
          fs.rmSync(path.join(live, link.path), { force: true });
          fs.symlinkSync(link.target, path.join(live, link.path));
        }
      };
      log(copy);
      return { undo: copy, settle: () => {} };
    },
  });
  expect(counts.torn + counts.missing).toBeGreaterThan(0);
});
