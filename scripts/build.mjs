// Bundles the sources into dist/: plain JavaScript that starts fast.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(top, 'dist');

/** What starts on its own: the two programs, and what walks trees and compares contents for the daemon. @type {Record<string, string>} */
const ENTRIES = {
  'ltsp-autoimage': 'src/cli/autoimage.ts',
  'ltsp-update-image': 'src/cli/update-image.ts',
  'tree-walker': 'src/tree/walker.ts',
  'content-comparer': 'src/checks/sample/comparer.ts',
  'image-writer': 'src/build/incremental/writer.ts',
};

/** Of which sources dist/ is made, so that a build is done once for each state of them. */
const STAMP = '.made-of';

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();

/** Builds dist/ unless it is made of exactly the sources as they are now. */
export async function buildIfStale() {
  if (isStale()) await build();
}

/** Whether dist/ is not made of the sources as they are now. */
export function isStale() {
  const stamp = path.join(dist, STAMP);
  return !existsSync(stamp) || readFileSync(stamp, 'utf8') !== digestOfSources();
}

async function build() {
  const digest = digestOfSources();
  console.log('build: bundling src into dist');
  // Made beside it: a build that fails or is killed leaves the former files as they are.
  const next = `${dist}.${process.pid}`;
  const former = `${dist}.former.${process.pid}`;
  try {
    const inputs = await bundle(next);
    writeFileSync(path.join(next, 'LICENSES.txt'), licensesOf(inputs));
    writeFileSync(path.join(next, STAMP), digest);
    if (existsSync(dist)) renameSync(dist, former);
    renameSync(next, dist);
  } finally {
    rmSync(next, { recursive: true, force: true });
    rmSync(former, { recursive: true, force: true });
  }
}

/**
 * @param {string} outdir
 * @returns {Promise<string[]>} the files that went into it, relative to the top directory
 */
async function bundle(outdir) {
  // Not at the top: what is up to date needs no builder, and loading it takes longer than finding that out.
  const esbuild = await import('esbuild');
  const result = await esbuild.build({
    absWorkingDir: top,
    entryPoints: ENTRIES,
    outdir,
    bundle: true,
    metafile: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    // Each command loads only what it needs: `--help` doesn't wait for the parts of the daemon.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    // It brings compiled code, found beside its own files.
    external: ['koffi'],
    define: { __VERSION__: JSON.stringify(packageVersion()) },
    // CommonJS packages call require(), which ES modules don't have.
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire as createRequire_ } from 'node:module';\nconst require = createRequire_(import.meta.url);",
    },
    legalComments: 'external',
    logLevel: 'warning',
  });
  for (const name of Object.keys(ENTRIES)) chmodSync(path.join(outdir, `${name}.js`), 0o755);
  return Object.keys(result.metafile.inputs);
}

function packageVersion() {
  const { version } = JSON.parse(readFileSync(path.join(top, 'package.json'), 'utf8'));
  return String(version);
}

/**
 * The licence texts of the packages that the bundle holds parts of: their licences ask for them to go along.
 * @param {string[]} inputs files of the bundle, relative to the top directory
 */
function licensesOf(inputs) {
  const directories = inputs.map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  const packages = [...new Set(directories)].filter((directory) => directory !== undefined).sort();
  return packages.map((directory) => licenseOf(directory)).join('\n');
}

/** @param {string} directory of a package, relative to the top directory */
function licenseOf(directory) {
  const absolute = path.join(top, directory);
  const { name, version, license } = JSON.parse(readFileSync(path.join(absolute, 'package.json'), 'utf8'));
  const texts = readdirSync(absolute)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(path.join(absolute, file), 'utf8').trim());
  return `${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`;
}

function digestOfSources() {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'package-lock.json', 'scripts/build.mjs', ...sources()]) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(top, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

function sources() {
  return readdirSync(path.join(top, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(top, path.join(entry.parentPath, entry.name)))
    .sort();
}
