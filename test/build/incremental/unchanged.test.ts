import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openCleanView } from '../../../src/build/clean-view.ts';
import type { FormerGeneration } from '../../../src/build/incremental/former.ts';
import { buildIncrementally, type IncrementalRequest } from '../../../src/build/incremental.ts';
import { mountImage } from '../../../src/system/mounts.ts';
import { text } from '../../squashfs/torture-tree.ts';
import { built, type Chain, chainIn, settle } from './chain.ts';
import { expectSameTrees } from './same-images.ts';

let chain: Chain;

beforeEach(() => {
  chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'unchanged-')));
  fs.writeFileSync(at('stays'), text(1, 5000));
  fs.mkdirSync(path.join(chain.directory, 'mount'));
});

afterEach(() => fs.rmSync(chain.directory, { recursive: true, force: true }));

const SAMPLE = { verify: { kind: 'sample', budget: 0, seed: 1 } } as const;

function at(name: string): string {
  return path.join(chain.source, name);
}

async function contentIn(image: string, name: string): Promise<string> {
  const mounted = await mountImage(image, path.join(chain.directory, 'mount'));
  try {
    return fs.readFileSync(path.join(mounted.root, name), 'latin1');
  } finally {
    await mounted.close();
  }
}

/** Writes to a file through a mapping, first to make its page dirty, then on each line of standard input. */
const MAPPED_WRITER = `
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    mapped = mmap.mmap(file.fileno(), 0)
    for letter in 'bc':
        mapped[0:1] = letter.encode()
        sys.stdout.write(letter + '\\n')
        sys.stdout.flush()
        sys.stdin.readline()
`;

describe('a file whose times do not tell that it was written to', () => {
  it('since that was within a tick of the clock before it was read is read again', async () => {
    fs.writeFileSync(at('racy'), 'first');
    // before a tick has passed
    const former = await chain.full();
    const { mtimeNs, ctimeNs } = fs.statSync(at('racy'), { bigint: true });
    fs.writeFileSync(at('racy'), 'other');
    fs.utimesSync(at('racy'), Number(mtimeNs / 1_000_000_000n), Number(mtimeNs / 1_000_000_000n));
    await settle();
    // what the clock would have to do is put into the manifest: the times that the file has now
    const now = fs.statSync(at('racy'), { bigint: true });
    const manifest = fs.readFileSync(former.manifest, 'latin1');
    const started = BigInt(/^started\t(\d+)$/m.exec(manifest)?.[1] ?? 0);
    const lines = manifest
      .replace(`\t${mtimeNs}\t${ctimeNs}\t`, `\t${now.mtimeNs}\t${now.ctimeNs}\t`)
      .replace(`started\t${started}`, `started\t${now.ctimeNs + 9_000_000n}`);
    fs.writeFileSync(former.manifest, lines, 'latin1');
    const request = chain.request(former, SAMPLE);
    expect((await built(request)).written).toContain('racy');
    expect(await contentIn(request.target, 'racy')).toBe('other');
  });

  it('since it was mapped and dirty before is found when all contents are compared, and the image is built in full', async () => {
    fs.writeFileSync(at('mapped'), 'a'.repeat(5000));
    await settle();
    const child = spawn('python3', ['-c', MAPPED_WRITER, at('mapped')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const letter = (): Promise<string> =>
      new Promise((resolve) => child.stdout.once('data', (data) => resolve(String(data))));
    try {
      expect(await letter()).toBe('b\n');
      await settle();
      const former = await chain.full();
      const times = fs.statSync(at('mapped'), { bigint: true });
      child.stdin.write('\n');
      expect(await letter()).toBe('c\n');
      // the kernel does not tell of it
      expect(fs.statSync(at('mapped'), { bigint: true }).ctimeNs).toBe(times.ctimeNs);
      const why = 'mapped has another content than its times say';
      expect(await buildIncrementally(chain.request(former))).toEqual({ kind: 'full', why });

      const request = chain.request(former, { trust: 'content' });
      expect((await built(request)).written).toEqual(['mapped']);
      expect(await contentIn(request.target, 'mapped')).toBe(`c${'a'.repeat(4999)}`);
    } finally {
      child.kill();
    }
  });
});

describe('contents that are in the former image already', () => {
  it('cost no byte when a file is renamed, copied, or unpacked anew', async () => {
    fs.writeFileSync(at('large'), crypto.randomBytes(300_000));
    fs.writeFileSync(at('small'), crypto.randomBytes(900));
    await settle();
    const former = await chain.full();
    fs.renameSync(at('large'), at('renamed'));
    fs.copyFileSync(at('small'), at('copied'));
    const content = fs.readFileSync(at('stays'));
    fs.rmSync(at('stays'));
    fs.writeFileSync(at('stays'), content);
    const request = chain.request(former);
    const { written, stats } = await built(request);
    expect(written).toEqual(['copied', 'renamed', 'stays']);
    expect(stats).toMatchObject({ appendedBytes: 0, deadBytes: 0, kept: 1, written: 3 });
    await expectSameTrees((await chain.full()).image, request.target, chain.directory);
  });

  it('are not even read below a renamed directory', async () => {
    fs.mkdirSync(at('directory/below'), { recursive: true });
    for (const name of ['one', 'below/two']) fs.writeFileSync(at(`directory/${name}`), name);
    await settle();
    const former = await chain.full();
    fs.renameSync(at('directory'), at('another'));
    const request = chain.request(former);
    expect((await built(request)).written).toEqual([]);
    await expectSameTrees((await chain.full()).image, request.target, chain.directory);
  });
});

it('a hole of gigabytes is neither read nor written', async () => {
  const former = await chain.full();
  fs.writeFileSync(at('hole'), 'start');
  fs.truncateSync(at('hole'), 50 * 2 ** 30);
  await settle();
  const request = chain.request(former);
  const { stats } = await built(request);
  expect(stats.appendedBytes).toBeLessThan(5000);
  await settle();
  const again = chain.request(await chain.finish(request), { trust: 'content' });
  expect((await built(again)).written).toEqual([]);
});

it('what is excluded now leaves the image, and comes back, as with a full build', async () => {
  fs.mkdirSync(at('var/log'), { recursive: true });
  for (const name of ['a', '.hidden', 'b']) fs.writeFileSync(at(`var/log/${name}`), name);
  await settle();
  const former = await chain.full();
  const excludePatterns = ['var/log/!(b)'];
  const plain = chain.request(former);
  const request: IncrementalRequest = { ...plain, look: { ...plain.look, excludePatterns } };
  await built(request);
  const without = await chain.full({ excludes: excludePatterns });
  await expectSameTrees(without.image, request.target, chain.directory);
  const again = chain.request(await chain.finish(request));
  await built(again);
  await expectSameTrees(former.image, again.target, chain.directory);
});

it('a log that grows while the image is made is in it as it was read, and makes nothing void', async () => {
  fs.writeFileSync(at('log'), 'line\n');
  const former = await chain.full();
  fs.writeFileSync(at('log'), 'line\nline\n');
  const plain = chain.request(former);
  const request = { ...plain, look: { ...plain.look, ignorePatterns: ['log'] } };
  // between the walk and the reading: what the walk asks for its patterns is the last thing before it
  const watcher = fs.watch(chain.directory, (_, name) => {
    if (name === path.basename(plain.look.manifestFile)) fs.appendFileSync(at('log'), 'line\n');
  });
  try {
    await built(request);
  } finally {
    watcher.close();
  }
  expect(await contentIn(request.target, 'log')).toMatch(/^line\nline\n/);
});

describe('a clean view', () => {
  it('keeps what lies below it, though each view is a file system of its own', async () => {
    fs.mkdirSync(at('etc'));
    fs.writeFileSync(at('etc/machine-id'), 'secret');
    fs.writeFileSync(at('etc/hosts'), 'hosts');
    await settle();
    const first = await buildFromView(null);
    const second = await buildFromView(first.generation);
    // what was changed in the view is on another file system now, and is found by its content
    expect(second.written).toEqual(['etc/machine-id']);
    expect(second.appended).toBe(0);
    await expectSameTrees(first.generation.image, second.generation.image, chain.directory);
    expect(await contentIn(second.generation.image, 'etc/machine-id')).toBe('clean');
  });

  type FromView = { generation: FormerGeneration; written: readonly string[]; appended: number };

  async function buildFromView(former: FormerGeneration | null): Promise<FromView> {
    const mountPoint = path.join(chain.directory, 'mount');
    const view = await openCleanView({ chroot: chain.source, submounts: [], mountPoint });
    try {
      fs.writeFileSync(path.join(view.root, 'etc/machine-id'), 'clean');
      fs.utimesSync(path.join(view.root, 'etc/machine-id'), 1, 1);
      await settle();
      if (former === null) return { generation: await chain.full({ root: view.root }), written: [], appended: 0 };
      const plain = chain.request(former);
      const request = { ...plain, look: { ...plain.look, root: view.root } };
      const { written, stats } = await built(request);
      return { generation: await chain.finish(request), written, appended: stats.appendedBytes };
    } finally {
      await view.close();
    }
  }
});
