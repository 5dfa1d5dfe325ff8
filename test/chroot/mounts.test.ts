import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { foreignBelow, foreignMounts } from '../../src/chroot/mounts.ts';

test('file systems that are none of local disks are found below the chroot alone', () => {
  const all = [
    mount('/', 'overlay'),
    mount('/proc', 'proc'),
    mount('/opt/ltsp/amd64', 'nfs4'),
    mount('/opt/ltsp/amd64/proc', 'proc'),
    mount('/opt/ltsp/amd64/sys', 'sysfs'),
    mount('/opt/ltsp/amd64/dev', 'devtmpfs'),
    mount('/opt/ltsp/amd64/dev/pts', 'devpts'),
    mount('/opt/ltsp/amd64/boot', 'ext4'),
    mount('/opt/ltsp/amd64/boot/efi', 'vfat'),
    mount('/opt/ltsp/amd64/mnt/caf\u00e9', 'fuse.sshfs'),
    mount('/opt/ltsp/amd64-other/run', 'tmpfs'),
  ];
  const found = ['dev', 'dev/pts', 'mnt/caf\xc3\xa9', 'proc', 'sys'];
  expect(foreignBelow('/opt/ltsp/amd64', all)).toEqual(found);
  expect(foreignBelow('/', all)).toEqual(
    expect.arrayContaining(['proc', 'opt/ltsp/amd64', 'opt/ltsp/amd64-other/run']),
  );
  expect(foreignBelow('/', all)).not.toContain('');
});

test('of several mounts on one place the last counts', () => {
  const [disk, memory] = [mount('/c/home', 'ext4'), mount('/c/home', 'tmpfs')];
  expect(foreignBelow('/c', [disk, memory])).toEqual(['home']);
  expect(foreignBelow('/c', [memory, disk])).toEqual([]);
});

test('real mounts are found, also when the chroot is named by a symlink', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mounts-'));
  const chroot = path.join(directory, 'chroot');
  const [run, blank] = [path.join(chroot, 'run'), path.join(chroot, 'with blank')];
  onTestFinished(() => {
    for (const target of [run, blank]) spawnSync('umount', [target]);
    fs.rmSync(directory, { recursive: true, force: true });
  });
  fs.mkdirSync(run, { recursive: true });
  fs.mkdirSync(blank);
  fs.symlinkSync('chroot', path.join(directory, 'link'));
  expect(foreignMounts(chroot)).toEqual([]);
  execFileSync('mount', ['-t', 'tmpfs', 'none', run]);
  execFileSync('mount', ['-t', 'proc', 'none', blank]);
  expect(foreignMounts(path.join(directory, 'link'))).toEqual(['run', 'with blank']);
});

function mount(target: string, type: string): { target: string; type: string; device: string } {
  return { target, type, device: '0:1' };
}
