import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Chroot } from '../../chroot/chroot.ts';
import type { ChrootConfig, Config } from '../../config/config.ts';
import { hasCode } from '../../errors.ts';

/** The server's own cleanup programs. */
export function siteCleanupDirectory({ root }: Pick<Config, 'root'>): string {
  return path.join(root, '/etc/ltsp/autoimage.d/cleanup.d');
}

/**
 * Whether a chroot is built from a cleaned view. Null: as it is. Else what decides how it is cleaned, to be a part of its
 * inputs: the digest of the server's own programs. `auto` cleans `/` alone: it is a machine that people use.
 * @throws an error with `code` when a program cannot be read
 */
export function cleanupOf(
  config: Config,
  { cleanup }: Pick<ChrootConfig['build'], 'cleanup'>,
  chroot: Chroot,
): string | null {
  if (cleanup === false || (cleanup === 'auto' && !isThisSystem(config, chroot))) return null;
  const directory = siteCleanupDirectory(config);
  const hash = createHash('sha256');
  for (const name of namesIn(directory)) {
    const file = path.join(directory, name);
    const stats = fs.statSync(file, { throwIfNoEntry: false });
    if (stats?.isFile() !== true) continue;
    hash.update(JSON.stringify([name, stats.mode & 0o111, stats.size])).update(fs.readFileSync(file));
  }
  return hash.digest('hex');
}

function isThisSystem({ root }: Config, chroot: Chroot): boolean {
  return chroot.path === (root === '' ? '/' : fs.realpathSync(root));
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
