import fs from 'node:fs';
import { type Mount, mounts } from '../system/mounts.ts';

/** File systems on local disks. What such a one shows below a chroot is a part of it, as a /boot of its own is. */
const LOCAL: ReadonlySet<string> = new Set([
  'ext2',
  'ext3',
  'ext4',
  'btrfs',
  'xfs',
  'f2fs',
  'jfs',
  'reiserfs',
  'zfs',
  'bcachefs',
  'vfat',
]);

/**
 * Where file systems are mounted below a chroot that are none of local disks: proc, sysfs, tmpfs, network and others. What
 * they show stays out of the image.
 * @returns relative to the chroot, one char per byte (latin1), sorted
 */
export function foreignMounts(chrootPath: string): string[] {
  return foreignBelow(fs.realpathSync(chrootPath), mounts());
}

/** @param chroot without symlinks, as mount targets are */
export function foreignBelow(chroot: string, all: readonly Mount[]): string[] {
  const prefix = chroot.endsWith('/') ? chroot : `${chroot}/`;
  const visible = new Map<string, string>();
  for (const { target, type } of all) {
    // a later mount on the same place hides the earlier one
    if (target.startsWith(prefix) && target !== prefix) visible.set(target.slice(prefix.length), type);
  }
  const foreign = [...visible].filter(([, type]) => !LOCAL.has(type)).map(([target]) => target);
  return foreign.map((target) => Buffer.from(target, 'utf8').toString('latin1')).sort();
}
