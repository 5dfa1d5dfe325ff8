// Rebuilding after a change: the incremental builder beside mksquashfs and beside what any builder has to do, in one run.
//   node bench/incremental.mjs CHROOT [RUNS] [--no-default] [--no-curve] [--no-chroot]
// CHROOT is copied to its own file system, and stays as it is. Default 7 runs; --no-default leaves mksquashfs without
// options out (75 s a run for 700 MB), --no-curve the trees of 10,000, 30,000 and 100,000 entries, --no-chroot the rest.
// Needs GNU time (Debian package time).
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { median } from './processes.mjs';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [source, runsText = '7'] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const flags = new Set(process.argv.slice(2).filter((argument) => argument.startsWith('--')));
const runs = Number(runsText);
if (source === undefined)
  throw new Error('usage: node bench/incremental.mjs CHROOT [RUNS] [--no-default] [--no-curve] [--no-chroot]');

const nothing = { excludePatterns: [], ignorePatterns: [], skipContents: [] };
const directory = fs.mkdtempSync(path.join(path.dirname(path.resolve(source)), 'bench-incremental-'));
try {
  const house = await bundle(directory);
  if (!flags.has('--no-chroot')) await benchChroot(house, source);
  if (!flags.has('--no-curve')) await benchCurve(house);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}

/**
 * The builder as a program, and what a publisher does around it.
 * @typedef {{ writer: string, library: any }} House
 * @typedef {{ image: string, manifest: string, digest: string, size: number, sums: string }} Generation
 */

/** @param {House} house @param {string} chroot */
async function benchChroot(house, chroot) {
  const tree = path.join(directory, 'chroot');
  execFileSync('cp', ['-a', chroot, tree]);
  const entries = execFileSync('find', [tree, '-printf', '.'], { maxBuffer: 1e9 }).length;
  const megabytes = Number(execFileSync('du', ['-sm', tree], { encoding: 'utf8' }).split('\t', 1)[0]);
  console.log(
    `${entries} entries, ${megabytes} MB; ${os.cpus().length} cores, Node ${process.versions.node}, ${runs} runs`,
  );

  const zstd = timesOf(runs, () =>
    mksquashfs(tree, path.join(directory, 'zstd.img'), ['-comp', 'zstd', '-Xcompression-level', '6']),
  );
  const standard = flags.has('--no-default')
    ? null
    : timesOf(runs, () => mksquashfs(tree, path.join(directory, 'default.img'), []));
  const first = await full(house, tree, 'first');
  const floor = timesOf(runs, () => floorOf(tree, first.image));
  const node = timesOf(runs, () => void execFileSync(process.execPath, ['-e', '0']));

  print('find with stat + cp of the image', floor, null);
  print("node's start", node, null);
  print('mksquashfs -comp zstd -Xcompression-level 6', zstd, null);
  if (standard !== null) print('mksquashfs without options (gzip 9)', standard, null);

  const files = regularFiles(tree);
  const cases = [
    { title: 'no change', change: () => undefined },
    { title: 'a package (50 files, 2 MB)', change: () => rewrite(pick(files, 50, 2e6)) },
    { title: 'ten packages (2,400 files, 68 MB)', change: () => rewrite(pick(files, 2400, 68e6)) },
  ];
  for (const { title, change } of cases) {
    /** @type {number[]} */
    const times = [];
    /** @type {any} */
    let last;
    for (let run = 0; run < runs; run++) {
      // each time from the image that was built in full, whose manifest is made anew for the tree as it is
      const former = run === 0 ? await full(house, tree, 'former') : await again(house, tree);
      await tick();
      change();
      await tick();
      const started = performance.now();
      last = incremental(house, tree, former);
      times.push(performance.now() - started);
      if (last.kind !== 'built') throw new Error(`built in full: ${last.why}`);
    }
    print(`incremental, ${title}`, times, { floor, zstd, standard, node });
    console.log(`    ${JSON.stringify(last.stats)}, ${last.memory} MB of memory at most`);
  }
}

/** @param {House} house @param {string} tree @returns {Promise<Generation>} */
async function again(house, tree) {
  fs.rmSync(path.join(directory, 'former.img'));
  return await full(house, tree, 'former');
}

/** Trees of small files, a hundred in a directory: what grows with the number of entries alone. @param {House} house */
async function benchCurve(house) {
  for (const count of [10_000, 30_000, 100_000]) {
    const tree = path.join(directory, `tree-${count}`);
    for (let d = 0; d < count / 100; d++) {
      fs.mkdirSync(path.join(tree, `${d % 10}`, `${d}`), { recursive: true });
      for (let i = 0; i < 99; i++)
        fs.writeFileSync(path.join(tree, `${d % 10}`, `${d}`, `file-${i}`), `${d} ${i}\n`.repeat(20));
    }
    const former = await full(house, tree, `former-${count}`);
    const times = [];
    /** @type {any} */
    let last;
    for (let run = 0; run < runs; run++) {
      await tick();
      rewrite(pick(regularFiles(tree), 50, 2e6));
      const started = performance.now();
      last = incremental(house, tree, former);
      times.push(performance.now() - started);
      if (last.kind !== 'built') throw new Error(`built in full: ${last.why}`);
    }
    const floor = timesOf(runs, () => floorOf(tree, former.image));
    print(`incremental, 50 files of ${count} entries`, times, { floor, zstd: null, standard: null, node: null });
    console.log(`    ${last.memory} MB of memory at most`);
    fs.rmSync(tree, { recursive: true });
  }
}

/** @param {string} outdir @returns {Promise<House>} */
async function bundle(outdir) {
  fs.symlinkSync(path.join(top, 'node_modules'), path.join(outdir, 'node_modules'));
  const library = [
    "export { look, readingFromNow } from './src/tree/look.ts';",
    "export { bindManifest } from './src/tree/manifest.ts';",
    "export { digestOf } from './src/store/digest.ts';",
  ];
  /** @type {esbuild.BuildOptions} */
  const common = {
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    absWorkingDir: top,
    define: { __VERSION__: '"bench"' },
    banner: { js: "import { createRequire as c_ } from 'node:module'; const require = c_(import.meta.url);" },
  };
  const writer = path.join(outdir, 'writer.mjs');
  await esbuild.build({ ...common, entryPoints: ['src/build/incremental/writer.ts'], outfile: writer });
  const file = path.join(outdir, 'library.mjs');
  await esbuild.build({ ...common, stdin: { contents: library.join('\n'), resolveDir: top }, outfile: file });
  return { writer, library: await import(pathToFileURL(file).href) };
}

/** A generation of mksquashfs. @param {House} house @param {string} tree @param {string} name @returns {Promise<Generation>} */
async function full({ library }, tree, name) {
  const image = path.join(directory, `${name}.img`);
  const manifest = path.join(directory, `${name}.manifest`);
  await tick();
  library.look({ root: tree, ...nothing, manifestFile: manifest, readSince: library.readingFromNow() });
  mksquashfs(tree, image, ['-comp', 'zstd', '-Xcompression-level', '6']);
  const { digest, size, sums } = await library.digestOf(image);
  library.bindManifest(manifest, digest);
  return { image, manifest, digest, size, sums };
}

/** @param {House} house @param {string} tree @param {Generation} former */
function incremental({ writer }, tree, former) {
  const target = path.join(directory, 'next.img');
  const request = {
    look: { root: tree, ...nothing, manifestFile: path.join(directory, 'next.manifest') },
    chroot: tree,
    former,
    target,
    compression: { type: 'zstd', level: 6 },
    trust: 'stat',
    verify: { kind: 'sample', budget: 50, seed: 1 },
    deadLimit: 1000,
    time: 1_700_000_000,
    nice: false,
  };
  const memory = path.join(directory, 'memory');
  const options = { input: JSON.stringify(request), encoding: /** @type {const} */ ('utf8'), maxBuffer: 1e8 };
  const output = execFileSync('/usr/bin/time', ['-f', '%M', '-o', memory, process.execPath, writer], options);
  const reply = JSON.parse(output);
  fs.rmSync(target, { force: true });
  if (reply.kind !== 'done') throw new Error(reply.message);
  return { ...reply.value, memory: Math.round(Number(fs.readFileSync(memory, 'utf8')) / 1024) };
}

/** @param {string} tree @param {string} image @param {readonly string[]} options */
function mksquashfs(tree, image, options) {
  const args = [tree, image, '-noappend', '-no-recovery', '-quiet', '-no-progress', ...options];
  execFileSync('mksquashfs', args, { stdio: 'ignore' });
}

/** @param {string} tree @param {string} image */
function floorOf(tree, image) {
  execFileSync('find', [tree, '-printf', '%s %T@ %C@ %i\n'], {
    stdio: ['ignore', fs.openSync('/dev/null', 'w'), 'inherit'],
  });
  const copy = path.join(directory, 'floor.img');
  execFileSync('cp', [image, copy]);
  fs.rmSync(copy);
}

/** @param {string} tree @returns {{ file: string, size: number }[]} */
function regularFiles(tree) {
  const output = execFileSync('find', [tree, '-type', 'f', '-size', '+0', '-printf', '%s %p\\0'], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  return output
    .split('\0')
    .filter(Boolean)
    .map((line) => ({ size: Number(line.split(' ', 1)[0]), file: line.slice(line.indexOf(' ') + 1) }));
}

/** Other ones each time; so many files, until they have so many bytes. @param {{ file: string, size: number }[]} files @param {number} count @param {number} bytes */
function pick(files, count, bytes) {
  const chosen = [];
  let left = bytes;
  for (const one of [...files].sort(() => Math.random() - 0.5)) {
    if (chosen.length === count) break;
    if (one.size > Math.max((3 * left) / (count - chosen.length), 1000)) continue;
    chosen.push(one);
    left -= one.size;
  }
  return chosen;
}

/** As a package does it: a new file beside it, renamed over it; some of its bytes are others. @param {{ file: string }[]} files */
function rewrite(files) {
  for (const { file } of files) {
    const content = fs.readFileSync(file);
    crypto.randomFillSync(content, 0, Math.min(16, content.length));
    fs.writeFileSync(`${file}.new`, content);
    fs.renameSync(`${file}.new`, file);
  }
}

/** The kernel's clock for files ticks at least once. */
function tick() {
  return new Promise((resolve) => setTimeout(resolve, 30));
}

/** @param {number} count @param {() => void} work */
function timesOf(count, work) {
  return Array.from({ length: count }, () => {
    const started = performance.now();
    work();
    return performance.now() - started;
  });
}

/**
 * @param {string} title @param {number[]} times
 * @param {{ floor: number[], zstd: number[] | null, standard: number[] | null, node: number[] | null } | null} others
 */
function print(title, times, others) {
  const rounded = times.map(Math.round).join(', ');
  console.log(`${title}: median ${Math.round(median(times))} ms (${rounded})`);
  if (others === null) return;
  const { floor, zstd, standard, node } = others;
  const ratios = [`${(median(times) / median(floor)).toFixed(1)} × (find + cp)`];
  if (node !== null)
    ratios.push(`${((median(times) - median(node)) / median(floor)).toFixed(1)} × without node's start`);
  if (zstd !== null) ratios.push(`${(median(zstd) / median(times)).toFixed(1)} times faster than zstd 6`);
  if (standard !== null) ratios.push(`${(median(standard) / median(times)).toFixed(1)} times faster than the default`);
  console.log(`    ${ratios.join('; ')}`);
}
