import fs from 'node:fs';
import path from 'node:path';
import { foreignBelow } from '../chroot/mounts.ts';
import { type Mount, mounts } from '../system/mounts.ts';

/**
 * Where file systems of local disks are mounted below a chroot, as a /boot of its own is: what they show is a part of
 * the chroot.
 * @returns relative to the chroot, a parent before what is mounted below it
 */
export function submountsOf(chrootPath: string): string[] {
  const chroot = fs.realpathSync(chrootPath);
  // one that a later mount hides leads nowhere
  return localBelow(chroot, mounts()).filter((target) => fs.existsSync(path.join(chroot, target)));
}

/** @param chroot without symlinks, as mount targets are */
export function localBelow(chroot: string, all: readonly Mount[]): string[] {
  const prefix = chroot.endsWith('/') ? chroot : `${chroot}/`;
  const foreign = foreignBelow(chroot, all).map((target) => Buffer.from(target, 'latin1').toString('utf8'));
  const local = new Set<string>();
  for (const { target } of all) {
    const relative = target.startsWith(prefix) ? target.slice(prefix.length) : '';
    if (relative !== '' && !isAtOrBelow(relative, foreign)) local.add(relative);
  }
  return [...local].sort();
}

/** What is mounted below a foreign file system stays out of the image with it. */
function isAtOrBelow(target: string, foreign: readonly string[]): boolean {
  return foreign.some((directory) => target === directory || target.startsWith(`${directory}/`));
}
