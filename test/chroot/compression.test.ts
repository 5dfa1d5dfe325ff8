import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { kernelsReadZstd } from '../../src/chroot/compression.ts';

let chroot: string;

beforeEach(() => {
  chroot = fs.mkdtempSync(path.join(os.tmpdir(), 'kernels-'));
  fs.mkdirSync(path.join(chroot, 'boot'));
});

afterEach(() => fs.rmSync(chroot, { recursive: true, force: true }));

test('each kernel is asked by its own config', () => {
  write('vmlinuz-6.1.0-2-amd64', 'config-6.1.0-2-amd64', 'CONFIG_X=y\nCONFIG_SQUASHFS_ZSTD=y\n');
  write('vmlinuz-4.9.0-1-686', 'config-4.9.0-1-686', 'CONFIG_SQUASHFS=y\n# CONFIG_SQUASHFS_ZSTD is not set\n');
  write('vmlinux-5.10-powerpc64', 'config-5.10-powerpc64', '# CONFIG_SQUASHFS_ZSTD=y\n');
  expect(kernelsReadZstd(chroot)).toEqual({
    kernels: ['4.9.0-1-686', '5.10-powerpc64', '6.1.0-2-amd64'].sort(),
    without: ['4.9.0-1-686', '5.10-powerpc64'],
  });
});

test('a kernel without a config, or with one that is no file, counts as one that cannot', () => {
  write('vmlinuz-1', 'other', '');
  write('vmlinuz-2', 'other', '');
  fs.writeFileSync(path.join(chroot, 'config'), 'CONFIG_SQUASHFS_ZSTD=y\n');
  fs.symlinkSync(path.join(chroot, 'config'), path.join(chroot, 'boot/config-1'));
  execFileSync('mkfifo', [path.join(chroot, 'boot/config-2')]);
  expect(kernelsReadZstd(chroot).without).toEqual(['1', '2']);
});

test('what dpkg left beside a kernel is none', () => {
  write('vmlinuz-1', 'config-1', 'CONFIG_SQUASHFS_ZSTD=y\n');
  for (const name of ['vmlinuz-1.dpkg-tmp', 'vmlinuz-2.dpkg-new', 'vmlinuz', 'initrd.img-3']) {
    fs.writeFileSync(path.join(chroot, 'boot', name), '');
  }
  expect(kernelsReadZstd(chroot)).toEqual({ kernels: ['1'], without: [] });
});

test('a chroot without kernels, or without boot, has empty lists', () => {
  expect(kernelsReadZstd(chroot)).toEqual({ kernels: [], without: [] });
  fs.rmdirSync(path.join(chroot, 'boot'));
  expect(kernelsReadZstd(chroot)).toEqual({ kernels: [], without: [] });
});

function write(kernel: string, config: string, text: string): void {
  fs.writeFileSync(path.join(chroot, 'boot', kernel), '');
  fs.writeFileSync(path.join(chroot, 'boot', config), text);
}
