// A PXE client's view: clients fetch a kernel and an initrd of 30 MB from a real tftpd while images are published and
// taken back. None may get a torn or missing file, and a mixed pair only with a switch between its two requests.
//   node scripts/trial-tftp.mjs [PUBLISHES] [MB]      (as root, with tftpd-hpa; default 50 publishes, 30 MB)
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const publishes = Number(process.argv[2] ?? 50);
const size = Number(process.argv[3] ?? 30) * 1_000_000;
// there, so that the packages are found
const directory = fs.mkdtempSync(path.join(top, 'node_modules/.trial-tftp-'));
try {
  const sources = ['tftp-trial', 'tftp-loop'].map((name) => path.join(top, `test/serve/boot-files/${name}.ts`));
  await build({
    ...{ entryPoints: sources, outdir: directory, outExtension: { '.js': '.mjs' } },
    ...{ bundle: true, platform: 'node', format: 'esm', packages: 'external' },
  });
  const { runTrial } = await import(pathToFileURL(path.join(directory, 'tftp-trial.mjs')).href);
  const started = Date.now();
  const counts = await runTrial({
    sizes: { kernel: size, initrd: size + 1 },
    publishes,
    blockSizes: [1408, 1468, 8192],
    client: path.join(directory, 'tftp-loop.mjs'),
  });
  const words = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  console.log(`${words.join(', ')}; ${Math.round((Date.now() - started) / 1000)} s`);
  const wrong = ['torn', 'missing', 'stale', 'unexplained'].filter((name) => counts[name] !== 0);
  if (wrong.length > 0) throw new Error(`clients got what they must not get: ${wrong.join(', ')}`);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
