import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CancelledError, UsageError, UserError } from '../../src/errors.ts';
import { treeInProcess } from '../../src/tree/in-process.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import type { LookRequest } from '../../src/tree/look.ts';

let bundles: string;
let directory: string;
let walker: string;
let request: LookRequest;

beforeAll(async () => {
  // below node_modules, so that the bundle finds koffi
  const cache = path.resolve('node_modules/.cache');
  fs.mkdirSync(cache, { recursive: true });
  bundles = fs.mkdtempSync(path.join(cache, 'tree-walker-'));
  const outfile = path.join(bundles, 'tree-walker.js');
  await build({
    entryPoints: ['src/tree/walker.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    logLevel: 'error',
  });
  fs.writeFileSync(path.join(bundles, 'package.json'), '{ "type": "module" }');
  walker = outfile;
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'in-process-'));
  const root = path.join(directory, 'chroot');
  fs.mkdirSync(path.join(root, 'usr/bin'), { recursive: true });
  fs.writeFileSync(path.join(root, 'usr/bin/true'), 'program');
  fs.writeFileSync(path.join(root, 'usr/x.o'), 'x');
  request = { root, excludePatterns: ['... *.o'], ignorePatterns: [], skipContents: [] };
});

afterAll(() => {
  fs.rmSync(bundles, { recursive: true, force: true });
  fs.rmSync(directory, { recursive: true, force: true });
});

test('a process answers what this thread does', async () => {
  const manifestFile = path.join(directory, 'manifest');
  const tree = treeInProcess(walker);
  const here = await treeInThread.look(request);
  const there = await tree.look({ ...request, manifestFile });
  expect({ ...there, started: here.started }).toEqual(here);
  const copy = path.join(directory, 'copy');
  fs.cpSync(request.root, copy, { recursive: true });
  fs.rmSync(path.join(copy, 'usr/bin/true'));
  const inCopy = { ...request, root: copy, manifestFile };
  expect((await tree.compareWalk(inCopy)).map(({ message }) => message)).toContain('usr/bin/true was removed');
  const image = { root: copy, manifestFile, limit: 10 };
  const differences = await tree.compareImage(image);
  expect(differences).toEqual(await treeInThread.compareImage(image));
  expect(differences.map(({ message }) => message)).toContain('usr/bin/true is missing');
});

test('walks beside each other do not disturb each other', async () => {
  const tree = treeInProcess(walker);
  const looks = await Promise.all([tree.look(request), tree.look(request), tree.look(request)]);
  expect(new Set(looks.map(({ digest }) => digest)).size).toBe(1);
});

test('an error for people comes over as one, with its kind', async () => {
  const tree = treeInProcess(walker);
  const missing = tree.look({ ...request, root: path.join(directory, 'none') });
  await expect(missing).rejects.toThrow(UserError);
  await expect(missing).rejects.toThrow('none: it does not exist');
  await expect(tree.look({ ...request, excludePatterns: ['/tmp'] })).rejects.toThrow(UsageError);
});

test.each([
  ['throws', 'throw new TypeError("a bug")', 'a bug'],
  ['ends the process', 'process.exit(3)', 'status 3'],
  ['has no memory left', 'const all = []; for (;;) all.push(Array(1e4).fill({}));', 'memory'],
])('a process that %s is an error that names the tree', async (_, code, words) => {
  const file = path.join(bundles, 'bad-walker.js');
  fs.writeFileSync(file, code);
  const failing = treeInProcess(file, 32).look(request);
  await expect(failing).rejects.toThrow(UserError);
  await expect(failing).rejects.toThrow(`cannot walk ${request.root}`);
  await expect(failing).rejects.toThrow(words);
});

test('a signal ends the process', async () => {
  const file = path.join(bundles, 'endless-walker.js');
  const started = path.join(directory, 'started');
  fs.writeFileSync(file, `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(started)}, ''); for (;;);`);
  const stop = new AbortController();
  const endless = treeInProcess(file).look(request, stop.signal);
  const watcher = setInterval(() => fs.existsSync(started) && stop.abort(), 5);
  await expect(endless).rejects.toThrow(CancelledError);
  clearInterval(watcher);
});

test.each([
  ['in a process', () => treeInProcess(walker)],
  ['in this thread', () => treeInThread],
])('a signal that came before prevents the walk %s', async (_, tree) => {
  await expect(tree().look(request, AbortSignal.abort())).rejects.toThrow(CancelledError);
});
