// Corrupts images at random: before a digest of them is taken, between the build and the checks, and where clients get
// them. Prints what found each sort of corruption; status 1 when one was published that clients would read wrongly, or
// one of a live image was not found and mended.
//   node scripts/trial-corruptions.mjs [COUNT] [SEED] [MB]
// COUNT: 300 by default, half of them with gzip, half with zstd. MB, of what cannot be compressed: 24 by default, with which
// the image has more pieces than one sample reads.
// Needs root, squashfs-tools, nbd-server, nbdfuse, rsync and setfattr.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const count = Number(process.argv[2] ?? 300);
const seed = Number(process.argv[3] ?? Date.now() % 1e6);
const noise = Number(process.argv[4] ?? 24) * 1_000_000;

/** Sort of corruption → what found it → how often. @typedef {Map<string, Map<string, number>>} Table */

// there, so that the packages are found
const directory = fs.mkdtempSync(path.join(top, 'node_modules/.trial-corruptions-'));
let failures = 0;
try {
  const { Trial, corruptionsOf, inWords, randomOf, sortOf } = await bundled();
  const random = randomOf(seed);
  console.log(`${count} corruptions, seed ${seed}`);
  for (const compression of /** @type {const} */ (['gzip', 'zstd'])) {
    /** @type {Table} */
    const ofBuild = new Map();
    /** @type {Table} */
    const ofCandidate = new Map();
    /** @type {Table} */
    const ofLive = new Map();
    const trial = await Trial.open(compression, noise, random);
    try {
      for (const corruption of corruptionsOf(trial.sound, Math.ceil(count / 2), random)) {
        const sort = sortOf(corruption);
        /** @param {string} where @param {string} what */
        const fails = (where, what) => {
          failures += 1;
          console.log(`FAIL ${compression}, ${inWords(corruption)}, ${where}: ${what}`);
        };
        const built = await trial.ofBuild(corruption);
        const reads = built.reads === 'the same' ? 'reads the same' : 'reads something else';
        add(ofBuild, sort, [reads, built.isPublished ? 'published' : 'refused', ...built.by]);
        if (built.isPublished && built.reads !== 'the same') fails('before the digest', 'published');
        const candidate = await trial.ofCandidate(corruption);
        add(ofCandidate, sort, [candidate.isPublished ? 'published' : 'refused', ...candidate.by]);
        if (candidate.isPublished) fails('a candidate', 'published');
        const live = await trial.ofLive(corruption);
        add(ofLive, sort, [`found by ${live.by}`, live.mended]);
        if (live.mended !== 'mended') fails('live', `found by ${live.by}, ${live.mended}`);
      }
    } finally {
      await trial.close();
    }
    print(`${compression}, before the digest is taken, check.content = "all"`, ofBuild);
    print(`${compression}, of a candidate between build and checks`, ofCandidate);
    print(`${compression}, of what clients get`, ofLive);
  }
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
console.log(failures === 0 ? 'all as it has to be' : `${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;

/** @param {Table} table @param {string} sort @param {readonly string[]} what */
function add(table, sort, what) {
  const row = table.get(sort) ?? new Map();
  table.set(sort, row);
  for (const one of ['all', ...what]) row.set(one, (row.get(one) ?? 0) + 1);
}

/** @param {string} title @param {Table} table */
function print(title, table) {
  const columns = [...new Set([...table.values()].flatMap((row) => [...row.keys()]))];
  const total = new Map(columns.map((column) => [column, sum([...table.values()].map((row) => row.get(column) ?? 0))]));
  console.log(`\n${title}`);
  console.log(`${''.padEnd(20)}${columns.map((column) => `  ${column}`).join('')}`);
  for (const [sort, row] of [...table, /** @type {const} */ (['total', total])]) {
    const cells = columns.map((column) => `  ${String(row.get(column) ?? '').padStart(column.length)}`);
    console.log(`${sort.padEnd(20)}${cells.join('')}`);
  }
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * @returns {Promise<typeof import('../test/checks/corruptions/trial.ts')
 *   & typeof import('../test/checks/corruptions/corruption.ts') & typeof import('../test/checks/corruptions/random.ts')>}
 */
async function bundled() {
  const sources = ['trial', 'corruption', 'random'].map((name) => path.join(top, `test/checks/corruptions/${name}.ts`));
  const outfile = path.join(directory, 'trial.mjs');
  await build({
    stdin: { contents: sources.map((file) => `export * from ${JSON.stringify(file)};`).join('\n'), resolveDir: top },
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', logLevel: 'error' },
  });
  return import(pathToFileURL(outfile).href);
}
