// Kills the program, or has a call fail, at every named fault point of a rebuild, a revert, a recovery and what goes with
// them, kills it at random moments, and looks after each whether clients have what they should and nothing is left.
//   node scripts/faults.mjs [KIND,…] [SCENARIO] [RANDOM] [MINUTES]
// as root; KIND none: only random kills; by default all kinds, all scenarios and 300 random kills, however long that takes: hours
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { buildIfStale } from './build.mjs';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [kinds = 'kill,ENOSPC,EIO,EACCES,ENOENT', only = '', random = '300', minutes = 'Infinity'] =
  process.argv.slice(2);
// thousands of fsync calls: on a disk they would take an hour
if (process.env.TMPDIR === undefined && fs.existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm';
await buildIfStale();
// there, so that the packages are found
const directory = fs.mkdtempSync(path.join(top, 'node_modules/.faults-'));
try {
  // what is tried stays what it is, whatever is built meanwhile
  fs.cpSync(path.join(top, 'dist'), path.join(directory, 'dist'), { recursive: true });
  const outdir = path.join(directory, 'test/jobs');
  await build({
    ...{ entryPoints: [path.join(top, 'test/jobs/fault-table.ts')] },
    ...{ outdir, outExtension: { '.js': '.mjs' }, bundle: true, platform: 'node', format: 'esm' },
    ...{ packages: 'external' },
  });
  const { runAll } = await import(pathToFileURL(path.join(outdir, 'fault-table.mjs')).href);
  const problems = await runAll({
    kinds: kinds === 'none' ? [] : kinds.split(','),
    only,
    random: Number(random),
    minutes: Number(minutes),
  });
  if (problems > 0) process.exitCode = 1;
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
