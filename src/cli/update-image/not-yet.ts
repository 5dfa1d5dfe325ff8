import fs from 'node:fs';
import type { Chroot } from '../../chroot/chroot.ts';
import type { Config } from '../../config/config.ts';
import { UserError } from '../../errors.ts';
import { hasExport } from './exports.ts';
import type { Request } from './options.ts';

/**
 * Refuses what this version cannot do, before anything is done: an image with the accounts in it that were to be removed
 * must not get to clients. What arrives deletes its lines.
 */
export function refuseUnavailable(request: Request, config: Config, chroots: readonly Chroot[]): void {
  if (request.kind === 'build' && request.cleanup.startsWith('by')) {
    throw new UserError('cannot clean up: not available in this version');
  }
  const without = chroots.find(({ name }) => !hasExport(config, name));
  if (request.exporting.startsWith('by') && without !== undefined) {
    throw new UserError(`cannot write nbd-server's configuration of ${without.name}: not available in this version`);
  }
}

/** What the original does beside building and this version does not, where it would matter; one line each. */
export function kernelWarnings({ defaults }: Config): string[] {
  const directories = defaults.serve.tftpDirs.filter((directory) => fs.existsSync(directory));
  if (directories.length === 0) return [];
  return [
    `kernels in ${directories.join(', ')} stay as they are: not available in this version (use ltsp-update-kernels)`,
  ];
}
