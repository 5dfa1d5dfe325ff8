import fs from 'node:fs';

/** f_type of statfs(2) (linux/magic.h) of file systems that others change without inotify(7) being told. */
const BLIND: ReadonlyMap<bigint, string> = new Map([
  [0x6969n, 'NFS'],
  [0x517bn, 'SMB'],
  [0xfe534d42n, 'SMB'],
  [0xff534d42n, 'CIFS'],
  [0x65735546n, 'FUSE'],
  [0x01021997n, '9p'],
  [0x00c36400n, 'Ceph'],
  [0x5346414fn, 'AFS'],
  [0x6b414653n, 'AFS'],
  [0x73757245n, 'Coda'],
  [0x01161970n, 'GFS2'],
  [0x7461636fn, 'OCFS2'],
  [0x0bd00bd0n, 'Lustre'],
  [0x786f4256n, 'vboxsf'],
]);

/**
 * The name of a file system where inotify does not see every change, or undefined where it does.
 * @throws an error with `code` as of node:fs
 */
export function blindFileSystem(directory: string): string | undefined {
  return blindType(fs.statfsSync(directory, { bigint: true }).type);
}

/** @param type f_type of statfs(2), which some architectures extend by sign */
export function blindType(type: bigint): string | undefined {
  return BLIND.get(BigInt.asUintN(32, type));
}
