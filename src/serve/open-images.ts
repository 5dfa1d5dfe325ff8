import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { hasCode } from '../errors.ts';

/**
 * Which of these files somebody has open, found by inode whatever name it was opened by: processes (a child of nbd-server
 * for each client, qemu, a backup) and loop devices. All of them count as in use when that cannot be known, which is so
 * without CAP_SYS_PTRACE or losetup. Only init (pid 1), which opens no images, may keep its files to itself.
 * @param files absolute paths; those that do not exist are in nobody's use
 */
export function imagesInUse(files: readonly string[]): Set<string> {
  const byInode = new Map<string, string>();
  for (const file of files) {
    const stats = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (stats !== undefined) byInode.set(inode(stats.dev, stats.ino), file);
  }
  if (byInode.size === 0) return new Set();
  const used = new Set<string>();
  try {
    for (const open of [...loopInodes(), ...openInodes()]) {
      const file = byInode.get(open);
      if (file !== undefined) used.add(file);
    }
    return used;
  } catch (error) {
    if (error instanceof Unknown) return new Set(byInode.values());
    throw error;
  }
}

/** Files below a directory that have no name any more, but are still open: how many, and their bytes on the disk. */
export type Removed = { files: number; bytes: number };

/**
 * The removed files below a directory whose room is not free yet, since somebody has them open: clients run on an image
 * that another program has deleted, for example. What cannot be seen is not counted.
 */
export function removedButOpen(directory: string): Removed {
  const seen = new Map<string, number>();
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of orNothing(() => fs.readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = `/proc/${pid}/fd/${fd}`;
      const name = orNothing(() => fs.readlinkSync(link));
      if (name?.startsWith(`${directory}/`) !== true || !name.endsWith(' (deleted)')) continue;
      const stats = orNothing(() => fs.statSync(link, { bigint: true }));
      if (stats?.nlink === 0n) seen.set(inode(stats.dev, stats.ino), Number(stats.blocks) * 512);
    }
  }
  return { files: seen.size, bytes: [...seen.values()].reduce((sum, one) => sum + one, 0) };
}

/** It cannot be known what is open. */
class Unknown extends Error {}

function inode(dev: bigint, ino: bigint): string {
  return `${dev}:${ino}`;
}

/** Inodes of all files that processes have open (proc(5), /proc/PID/fd). */
function* openInodes(): Generator<string> {
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const unlessGone = pid === '1' ? orNothing : orUnknown;
    for (const fd of unlessGone(() => fs.readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const link = `/proc/${pid}/fd/${fd}`;
      // `socket:[1]` and the like are no files; asking stat for all of them would take twice the time
      const stats = unlessGone(() =>
        /^[a-z_]+:/.test(fs.readlinkSync(link)) ? undefined : fs.statSync(link, { bigint: true }),
      );
      if (stats !== undefined) yield inode(stats.dev, stats.ino);
    }
  }
}

/** Processes end and files are closed while we look; but what is kept from us may be an image. */
function orUnknown<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (hasCode(error, 'EACCES', 'EPERM')) throw new Unknown();
    return undefined;
  }
}

function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/**
 * Inodes behind loop devices. /sys only knows the path that the file once had, which is another image after a switch;
 * losetup asks the device (LOOP_GET_STATUS64).
 */
function loopInodes(): string[] {
  const active = loopDevices().some((device) => fs.existsSync(`/sys/block/${device}/loop/backing_file`));
  if (!active) return [];
  const columns = ['--list', '--noheadings', '--raw', '--output', 'BACK-MAJ:MIN,BACK-INO'];
  const { status, stdout } = spawnSync('losetup', columns, { encoding: 'utf8', timeout: 10_000 });
  if (status !== 0) throw new Unknown();
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    // losetup pads MAJ:MIN with blanks, which --raw writes as \x20
    const [, major, minor, ino] = /^\s*(\d+):(\d+)\s+(\d+)\s*$/.exec(line.replaceAll('\\x20', ' ')) ?? [];
    // without the right to ask the device the columns are empty
    if (major === undefined || minor === undefined || ino === undefined) throw new Unknown();
    return inode(deviceNumber(BigInt(major), BigInt(minor)), BigInt(ino));
  });
}

function loopDevices(): string[] {
  try {
    return fs.readdirSync('/sys/block').filter((device) => device.startsWith('loop'));
  } catch (error) {
    // a container without /sys has no loop devices of its own
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** makedev(3) as glibc has it, which is what stat(2) gives. */
function deviceNumber(major: bigint, minor: bigint): bigint {
  return ((major & 0xfffn) << 8n) | (minor & 0xffn) | ((minor & ~0xffn) << 12n) | ((major & ~0xfffn) << 32n);
}
