import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../errors.ts';

/** Where a chroot's boot files are in one TFTP directory. */
export type BootPlace = {
  /** The TFTP directory, for example /srv/tftp. */
  tftp: string;
  /** The name of the chroot's directory in it, for example ltsp/amd64. */
  inside: string;
  /** The directory itself, where it is a link the one that it leads to. It need not exist. */
  directory: string;
};

/**
 * The places of a chroot's boot files: one for each TFTP directory that exists; of several names of one, the first.
 * @param tftpDirs absolute paths (serve.tftp_dirs)
 * @param bootDir relative (serve.tftp_boot_dir)
 * @throws UserError when something else is in the way
 */
export function bootPlaces(tftpDirs: readonly string[], bootDir: string, name: string): BootPlace[] {
  const places = new Map<string, BootPlace>();
  for (const tftp of tftpDirs) {
    if (fs.statSync(tftp, { throwIfNoEntry: false })?.isDirectory() !== true) continue;
    const inside = path.join(bootDir, name);
    const directory = realPath(path.join(tftp, inside));
    if (!places.has(directory)) places.set(directory, { tftp, inside, directory });
  }
  return [...places.values()];
}

/** With links followed as far as it exists. */
function realPath(file: string): string {
  const stats = fs.statSync(file, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return fs.realpathSync(file);
  if (stats !== undefined || fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined) {
    throw new UserError(`cannot put boot files into ${file}: it is no directory (move it away)`);
  }
  return path.join(realPath(path.dirname(file)), path.basename(file));
}
