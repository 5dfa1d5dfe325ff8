// For a real chroot: event → decision latency, and a whole rebuild against bare mksquashfs with the same options.
//   node bench/rebuild.mjs CHROOT [RUNS]      (CHROOT is copied, and stays as it is; default 7 runs)
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { median, startDaemon } from './processes.mjs';

const source = process.argv[2];
const runs = Number(process.argv[3] ?? 7);
if (source === undefined) throw new Error('usage: node bench/rebuild.mjs CHROOT [RUNS]');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-rebuild-'));
const chroot = path.join(root, 'opt/ltsp/amd64');
const images = path.join(root, 'opt/ltsp/images');
const quiet = 1000;

fs.mkdirSync(path.join(root, 'opt/ltsp'), { recursive: true });
fs.mkdirSync(path.join(root, 'etc/ltsp'), { recursive: true });
fs.writeFileSync(path.join(root, 'etc/ltsp/ltsp-autoimage.toml'), `[watch]\nquiet = "${quiet}ms"\n`);
execFileSync('cp', ['-a', source, chroot]);
const entries = execFileSync('find', [chroot, '-xdev', '-printf', '.'], { maxBuffer: 1e9 }).length;
const megabytes = Number(execFileSync('du', ['-sm', chroot], { encoding: 'utf8' }).split('\t', 1)[0]);
console.log(`chroot: ${entries} entries, ${megabytes} MB; ${os.cpus().length} cores, Node ${process.versions.node}`);

/** A package's file changes, as dpkg does it: the status is replaced by rename. */
function changePackage() {
  const status = path.join(chroot, 'var/lib/dpkg/status');
  fs.copyFileSync(status, `${status}-new`);
  fs.renameSync(`${status}-new`, status);
}

const daemon = startDaemon(root);
try {
  const first = await daemon.next(0, ({ event }) => event === 'image.published');
  const record = readRecord(first);
  console.log(`compression: ${record.compression}; image: ${(record.size / 1e6).toFixed(1)} MB`);

  const latencies = [];
  const ours = [];
  /** @type {number[]} */
  const checks = [];
  /** @type {number[]} */
  const bare = [];
  for (let run = 0; run < runs; run += 1) {
    const from = daemon.events.length;
    const touched = Date.now();
    changePackage();
    const started = await daemon.next(from, ({ event }) => event === 'build.started');
    latencies.push(Date.parse(started.time) - touched - quiet);
    const published = await daemon.next(from, ({ event }) => event === 'image.published');
    const { took, checks: results } = readRecord(published);
    ours.push(took.total);
    checks.push(checkTime(results));
    bare.push(bareMksquashfs(record.compression));
  }
  const ratio = (/** @type {number[]} */ values) =>
    median(values.map((value, index) => value / (bare[index] ?? Number.NaN))).toFixed(3);
  const net = ours.map((value, index) => value - (checks[index] ?? Number.NaN));
  console.log(
    `event → decision, beyond the quiet period of ${quiet} ms: median ${median(latencies)} ms (${latencies.join(', ')})`,
  );
  console.log(`whole rebuild:                  median ${median(ours)} ms, ${ratio(ours)} × bare mksquashfs`);
  console.log(`whole rebuild less the checks:  median ${median(net)} ms, ${ratio(net)} × bare mksquashfs`);
  console.log(`bare mksquashfs, same options:  median ${median(bare)} ms (${bare.join(', ')})`);
} finally {
  await daemon.stop();
  fs.rmSync(root, { recursive: true, force: true });
}

/**
 * The candidate's checks run beside each other; what clients get is checked afterwards.
 * @param {{ name: string, took: number }[]} results
 */
function checkTime(results) {
  const candidate = results.filter(({ name }) => name !== 'live').map(({ took }) => took);
  const live = results.filter(({ name }) => name === 'live').map(({ took }) => took);
  return Math.max(...candidate) + Math.max(...live);
}

/** @param {object} event image.published @returns {any} the record of the generation */
function readRecord(event) {
  const { id } = /** @type {{ id: string }} */ (event);
  return JSON.parse(fs.readFileSync(path.join(images, '.generations/amd64', `${id}.json`), 'utf8'));
}

/** @param {string} compression as in the record, `zstd 6` @returns {number} milliseconds */
function bareMksquashfs(compression) {
  const [type = '', level] = compression.split(' ');
  const image = path.join(root, 'bare.img');
  const options = ['-comp', type, ...(level === undefined ? [] : ['-Xcompression-level', level])];
  const started = performance.now();
  const { status } = spawnSync('nice', [
    '-n',
    '19',
    'ionice',
    '-c3',
    'mksquashfs',
    chroot,
    image,
    '-noappend',
    '-no-recovery',
    '-quiet',
    '-no-progress',
    ...options,
  ]);
  if (status !== 0) throw new Error(`mksquashfs ended with status ${status}`);
  const took = Math.round(performance.now() - started);
  fs.rmSync(image);
  return took;
}
