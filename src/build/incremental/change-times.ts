import fs from 'node:fs';

/**
 * File systems of this machine's disks and memory, by their number in statfs(2), whose change times are this machine's
 * and change with each write.
 */
const KEEP_CHANGE_TIMES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xca451a4e, // bcachefs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0x3153464a, // jfs
  0x01021994, // tmpfs
]);

/**
 * Whether change times tell what was written in all of these directories. On the others they come from another machine's
 * clock (NFS), are made up (FAT), or were chosen by who made the file system (an image mounted read-only, also as a
 * lower directory of an overlay): there two contents can have one time.
 */
export function haveChangeTimes(directories: readonly string[]): boolean {
  return directories.every((directory) => KEEP_CHANGE_TIMES.has(fs.statfsSync(directory).type));
}
