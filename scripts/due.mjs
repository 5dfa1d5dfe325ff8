// Prints what the set-up still has to do, a word each: `node` (this one is too old), `packages` (npm ci), `build`.
// All in one program, since each start of node costs a second start of the daemon a tenth of a second.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isStale } from './build.mjs';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

if (isTooOld()) console.log('node');
else console.log(packagesAreDue() ? 'packages build' : isStale() ? 'build' : '');

function isTooOld() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major < 20 || (major === 20 && minor < 19);
}

/** npm notes in node_modules/.package-lock.json what it installed, as its last act. */
function packagesAreDue() {
  const installedFile = path.join(top, 'node_modules/.package-lock.json');
  if (!existsSync(installedFile)) return true;
  const wanted = packagesOf(path.join(top, 'package-lock.json'));
  const installed = packagesOf(installedFile);
  const asWanted = Object.entries(wanted).every(([place, { integrity, optional }]) => {
    if (place === '') return true;
    // A package for another platform is left out.
    if (installed[place] === undefined) return optional === true;
    return installed[place].integrity === integrity;
  });
  return !asWanted || Object.keys(installed).some((place) => wanted[place] === undefined);
}

/**
 * @param {string} lockFile
 * @returns {Record<string, { integrity?: string, optional?: boolean }>} by place below the top directory
 */
function packagesOf(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}
