import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { imagesInUse } from '../../../src/serve/open-images.ts';
import { ServedImage, until } from './served-image.ts';

let bundled: string;
beforeAll(() => {
  bundled = bundle();
});
afterAll(() => fs.rmSync(bundled, { recursive: true }));

let site: ServedImage;
let program: ChildProcess;
beforeEach(() => {
  site = new ServedImage();
});
afterEach(() => site.remove());

it.each([
  [
    'while its server starts',
    () => site.fake('nbd-server', `touch ${site.at('reached')}; exec sleep 1000`),
    () => fs.existsSync(site.at('reached')),
  ],
  [
    'while it reads the export',
    // takes long to read, and no room
    () => fs.truncateSync(site.image.file, 2 ** 40),
    () => imagesInUse([site.image.file]).size > 0,
  ],
  [
    'while it mounts',
    () => site.fake('nbdfuse', `touch ${site.at('reached')}; exec sleep 1000`),
    () => fs.existsSync(site.at('reached')),
  ],
  ['while the mount is looked at', () => undefined, () => fs.existsSync(site.at('reached'))],
])('a check that is killed %s leaves no process, mount, loop device or file', async (_, prepare, reached) => {
  prepare();
  program = start();
  await until(reached);
  expect(site.traces()).not.toEqual([]);
  program.kill('SIGKILL');
  await once(program, 'close');
  await site.untilNoTraces();
  expect(fs.readdirSync(site.mountPoint)).toEqual([]);
});

/** The check in a process of its own, which says by a file that its look at the mount began, and never ends it. */
function start(): ChildProcess {
  const image = { ...site.image, size: fs.statSync(site.image.file).size };
  const task = JSON.stringify({ image, mountPoint: site.mountPoint, reached: site.at('reached') });
  return spawn(process.execPath, [path.join(bundled, 'program.mjs'), task], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** Plain JavaScript of it. Before there is an image: what esbuild leaves running would count as one of its traces. */
function bundle(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'killed-'));
  const source = path.join(import.meta.dirname, '../../../src/checks/over-nbd.ts');
  const contents = `
    import fs from 'node:fs';
    import { checkOverNbd } from ${JSON.stringify(source)};
    const { image, mountPoint, reached } = JSON.parse(process.argv[2]);
    const server = { user: 'nbd', group: 'nbd' };
    const mounted = async (root) => {
      fs.readFileSync(root + '/hostname');
      fs.writeFileSync(reached, '');
      await new Promise(() => setInterval(() => undefined, 1000));
    };
    console.error(await checkOverNbd(image, { server, mountPoint, timeout: 600_000, mounted }));`;
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  buildSync({
    stdin: { contents, resolveDir: import.meta.dirname },
    outfile: path.join(directory, 'program.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner,
  });
  return directory;
}
