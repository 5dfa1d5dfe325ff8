import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { UserError } from '../../errors.ts';
import { servedByNfs } from '../../serve/image-access.ts';
import { namesInConfDir } from '../../serve/nbd/export.ts';
import type { Wish } from './options.ts';

/**
 * A site whose clients are served over NFS has no use for images, unless somebody said so: with -f, with CONFIG_NBD, or
 * by an export that LTSP wrote before.
 * @throws UserError at such a site, as LTSP 5 stops there
 */
export function requireNbd(config: Config, exporting: Wish): void {
  if (exporting !== 'unsaid' || !servedByNfs(config)) return;
  if (namesInConfDir(confDirOf(config)).some(isLtspExport)) return;
  throw new UserError(
    `cannot update images: NFS serves ${config.base} to the clients (to go over to NBD give --config-nbd)`,
  );
}

/** Whether nbd-server's configuration has a file for this chroot. */
export function hasExport(config: Config, name: string): boolean {
  return namesInConfDir(confDirOf(config)).includes(`ltsp_${name}.conf`);
}

function confDirOf(config: Config): string {
  return path.join(config.root, '/etc/nbd-server/conf.d');
}

/** ltsp_swap.conf is the clients' swap space, which sites with NFS have as well. */
function isLtspExport(name: string): boolean {
  return /^ltsp_.*\.conf$/.test(name) && name !== 'ltsp_swap.conf';
}
