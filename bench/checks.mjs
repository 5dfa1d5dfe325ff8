// What each check of an image costs, from the record of its generation. The candidate's checks run beside each other, so
// that the slowest of them is their wall time; what clients get is checked afterwards.
//   node bench/checks.mjs CHROOT [RUNS]      (CHROOT is copied, and stays as it is; default 3 runs; as root, with nbd-server)
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { median, startDaemon } from './processes.mjs';

const source = process.argv[2];
const runs = Number(process.argv[3] ?? 3);
if (source === undefined) throw new Error('usage: node bench/checks.mjs CHROOT [RUNS]');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-checks-'));
const chroot = path.join(root, 'opt/ltsp/amd64');

/** Milliseconds that each took, alone, for an image of 230 MB when it was tried out. @type {Record<string, string>} */
const ALONE = {
  digest: 'SHA-256 160-220',
  content: 'mount 20-40, walk 350',
  nbd: 'read over NBD 300-500, mount and walk 350',
};

try {
  // the private nbd-server has to get in
  fs.chmodSync(root, 0o755);
  for (const directory of ['opt/ltsp', 'etc/ltsp', 'etc/nbd-server', 'run/ltsp-autoimage/trigger'])
    fs.mkdirSync(path.join(root, directory), { recursive: true });
  fs.copyFileSync('/etc/group', path.join(root, 'etc/group'));
  fs.writeFileSync(path.join(root, 'etc/nbd-server/config'), '[generic]\nallowlist = true\n');
  execFileSync('cp', ['-a', source, chroot]);
  const megabytes = Number(execFileSync('du', ['-sm', chroot], { encoding: 'utf8' }).split('\t', 1)[0]);
  console.log(`${megabytes} MB; ${os.cpus().length} cores, load ${os.loadavg()[0]?.toFixed(1)}`);
  await measure('default', '');
  await measure('check.content = "all"', 'content = "all"\n');
} finally {
  fs.rmSync(root, { recursive: true, force: true });
}

/**
 * Has the daemon build the image again and again.
 * @param {string} title
 * @param {string} check settings
 */
async function measure(title, check) {
  // zstd 1: the checks are what is measured, and an image is a third larger for them at most
  const build = '[build]\ncompression = "zstd"\nlevel = 1\n';
  const config = `${build}[serve]\nnbd = "off"\n[keep]\ngenerations = 1\ngrace = "0s"\n[check]\n${check}`;
  fs.writeFileSync(path.join(root, 'etc/ltsp/ltsp-autoimage.toml'), config);
  const daemon = startDaemon(root);
  try {
    await daemon.next(0, ({ event }) => event === 'daemon.started');
    const all = [];
    for (let run = 0; run < runs; run += 1) {
      const from = daemon.events.length;
      fs.writeFileSync(path.join(root, 'run/ltsp-autoimage/trigger/amd64'), 'force\n');
      const { id } = /** @type {any} */ (await daemon.next(from, ({ event }) => event === 'image.published'));
      const record = path.join(root, 'opt/ltsp/images/.generations/amd64', `${id}.json`);
      const { size, compression, checks } = JSON.parse(fs.readFileSync(record, 'utf8'));
      if (run === 0) console.log(`\nimage ${(size / 1e6).toFixed(1)} MB, ${compression}`);
      all.push(checks);
    }
    print(title, all);
  } finally {
    await daemon.stop();
  }
}

/** @param {string} title @param {{ name: string, took: number, message: string }[][]} all */
function print(title, all) {
  console.log(`${title}: medians of ${all.length} in ms`);
  for (const { name, message } of all[0] ?? []) {
    const took = all.map((checks) => checks.find((check) => check.name === name)?.took ?? Number.NaN);
    const alone = ALONE[name] === undefined ? '' : `  (alone: ${ALONE[name]})`;
    console.log(`${name.padEnd(12)} ${String(median(took)).padStart(6)}  ${message}${alone}`);
  }
  const candidate = all.map((checks) => slowest(checks.filter(({ name }) => name !== 'live')));
  const live = all.map((checks) => slowest(checks.filter(({ name }) => name === 'live')));
  console.log(`${'together'.padEnd(12)} ${String(median(candidate)).padStart(6)}  beside each other`);
  console.log(
    `${'with live'.padEnd(12)} ${String(median(candidate.map((took, run) => took + (live[run] ?? 0)))).padStart(6)}`,
  );
}

/** @param {{ took: number }[]} checks */
function slowest(checks) {
  return Math.max(0, ...checks.map(({ took }) => took));
}
