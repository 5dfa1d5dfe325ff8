import type { Config } from '../../config/config.ts';
import { UserError } from '../../errors.ts';
import { servedByNfs } from '../../serve/image-access.ts';
import { isLtspExport, namesInConfDir } from '../../serve/nbd/export.ts';
import type { Wish } from './options.ts';

/**
 * A site whose clients are served over NFS has no use for images, unless somebody said so: with -f, with CONFIG_NBD, or
 * by an export that LTSP wrote before.
 * @throws UserError at such a site, as LTSP 5 stops there
 */
export function requireNbd(config: Config, exporting: Wish): void {
  if (exporting !== 'unsaid' || !servedByNfs(config)) return;
  if (namesInConfDir(config.defaults.serve.nbdConfDir).some(isLtspExport)) return;
  throw new UserError(
    `cannot update images: NFS serves ${config.base} to the clients (to go over to NBD give --config-nbd)`,
  );
}
