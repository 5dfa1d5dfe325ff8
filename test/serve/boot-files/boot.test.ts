import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBoot } from '../../../src/serve/boot-files/boot.ts';
import { mountImage } from '../../../src/system/mounts.ts';
import {
  addKernel,
  addReferenceKernels,
  type BootSite,
  makeBootSite,
  REGENERATED,
  removeBootSite,
  write,
} from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite();
});
afterEach(() => removeBootSite(site));

const link = (target: string, name: string): void => fs.symlinkSync(target, path.join(site.image, name));
const entry = async (name: string) => (await readBoot(site.image)).entries.find(({ path }) => path === name);

describe('kernels', () => {
  it('are found with version, flavour, initrd and modules, lowest first', async () => {
    addKernel(site.image, '6.1.0-10-amd64');
    addKernel(site.image, '6.1.0-9-rt-amd64');
    expect((await readBoot(site.image)).kernels).toEqual([
      {
        file: 'vmlinuz-6.1.0-9-rt-amd64',
        version: '6.1.0-9-rt-amd64',
        flavour: 'rt-amd64',
        initrd: 'initrd.img-6.1.0-9-rt-amd64',
        modules: 'present',
      },
      {
        file: 'vmlinuz-6.1.0-10-amd64',
        version: '6.1.0-10-amd64',
        flavour: 'amd64',
        initrd: 'initrd.img-6.1.0-10-amd64',
        modules: 'present',
      },
    ]);
  });

  it.each([
    ['Fedora', 'vmlinuz-6.5.6-300.fc39.x86_64', 'initramfs-6.5.6-300.fc39.x86_64.img', '6.5.6-300.fc39.x86_64', null],
    ['Arch Linux', 'vmlinuz-linux', 'initramfs-linux.img', '6.6.1-arch1-1', 'linux\n'],
    ['Alpine', 'vmlinuz-lts', 'initramfs-lts', '6.6.58-0-lts', null],
    ['openSUSE', 'vmlinuz-6.4.0-150600.21-default', 'initrd-6.4.0-150600.21-default', '6.4.0-150600.21-default', null],
    ['PowerPC', 'vmlinux-6.1.0-2-powerpc64le', 'initrd.img-6.1.0-2-powerpc64le', '6.1.0-2-powerpc64le', null],
    ['a plain name', 'vmlinuz', 'initrd.img', '6.1.0', null],
  ])('of %s are found', async (_, file, initrd, modules, pkgbase) => {
    write(site.image, {
      [`boot/${file}`]: 'k',
      [`boot/${initrd}`]: 'i',
      [`usr/lib/modules/${modules}/modules.dep`]: '',
    });
    if (pkgbase !== null) write(site.image, { [`usr/lib/modules/${modules}/pkgbase`]: pkgbase });
    const { kernels, problems } = await readBoot(site.image);
    expect(kernels).toMatchObject([{ file, initrd, modules: 'present' }]);
    expect(problems).toEqual([]);
  });

  it('without modules or initrd are named', async () => {
    addKernel(site.image, '6.1.0-1-amd64');
    addKernel(site.image, '6.1.0-2-amd64');
    fs.rmSync(path.join(site.image, 'lib/modules/6.1.0-1-amd64'), { recursive: true });
    fs.rmSync(path.join(site.image, 'boot/initrd.img-6.1.0-2-amd64'));
    expect((await readBoot(site.image)).problems).toEqual([
      'kernel 6.1.0-1-amd64 has no modules in lib/modules',
      'kernel 6.1.0-2-amd64 has no initrd and is left out',
    ]);
  });

  it('that dpkg has not put in place, or left beside, are none', async () => {
    write(site.image, { 'boot/vmlinuz-6.1.0-1-amd64.dpkg-new': 'k', 'boot/vmlinuz-6.1.0-1-amd64.old': 'k' });
    expect((await readBoot(site.image)).kernels).toEqual([]);
  });

  it('are named by what update-kernels.conf of the image says', async () => {
    write(site.image, {
      'boot/bzImage-5.4-thin': 'k',
      'boot/ramdisk-5.4-thin': 'i',
      'boot/vmlinuz-5.4-other': 'k',
      'lib/modules/5.4-thin/modules.dep': '',
      'etc/ltsp/update-kernels.conf':
        "KERNEL_NAMES='s/^bzImage-[^-]*-\\(.*\\)/& \\1/p'\nINITRD_NAME='s/bzImage/ramdisk/'\n",
    });
    expect((await readBoot(site.image)).kernels).toEqual([
      {
        file: 'bzImage-5.4-thin',
        version: '5.4-thin',
        flavour: 'thin',
        initrd: 'ramdisk-5.4-thin',
        modules: 'present',
      },
    ]);
  });
});

describe('a symlink in boot/', () => {
  beforeEach(() => {
    addReferenceKernels(site.image);
    write(site.image, { 'etc/shadow': 'root:secret', 'boot/grub/grub.cfg': 'menu' });
  });

  it.each([
    ['vmlinuz-6.1.0-2-amd64', 'vmlinuz-6.1.0-2-amd64'],
    ['/boot/vmlinuz-6.1.0-2-amd64', 'vmlinuz-6.1.0-2-amd64'],
    ['../../../boot/vmlinuz-6.1.0-2-amd64', 'vmlinuz-6.1.0-2-amd64'],
    ['grub', 'grub'],
    ['.', ''],
  ])('to %s leads to boot/%s', async (target, leadsTo) => {
    link(target, 'boot/vmlinuz');
    expect(await entry('vmlinuz')).toEqual({ kind: 'link', path: 'vmlinuz', leadsTo });
  });

  it('that goes by links outside and ends in boot/ leads to its end', async () => {
    link('boot/vmlinuz-6.1.0-2-amd64', 'vmlinuz');
    link('../vmlinuz', 'boot/vmlinuz');
    expect(await entry('vmlinuz')).toMatchObject({ leadsTo: 'vmlinuz-6.1.0-2-amd64' });
  });

  it.each(
    [
      '/etc/shadow',
      '../etc/shadow',
      '../../../../../../etc/shadow',
      '/etc',
      '..',
      '/',
      'nowhere',
      'vmlinuz',
      '/proc/self/root/etc/shadow',
      '/dev/stdin',
      '',
    ].filter(Boolean),
  )('to %s is left out and named', async (target) => {
    link(target, 'boot/vmlinuz');
    expect(await entry('vmlinuz')).toBeUndefined();
    expect((await readBoot(site.image)).problems).toEqual(['boot/vmlinuz leads to nothing in boot/ and is left out']);
  });

  it('to a real file of the server finds what the image has of that name, or nothing', async () => {
    const secret = path.join(site.directory, 'secret');
    fs.writeFileSync(secret, 'of the server');
    link(secret, 'boot/vmlinuz');
    expect(await entry('vmlinuz')).toBeUndefined();
  });
});

it('refuses a boot/ that is a link: it could be any directory', async () => {
  fs.rmdirSync(path.join(site.image, 'boot'));
  write(site.image, { 'etc/shadow': 'root:secret' });
  link('etc', 'boot');
  await expect(readBoot(site.image)).rejects.toThrow('cannot read the boot files of the image: boot/ is no directory');
});

it('leaves out what is neither file nor directory, without waiting for it', async () => {
  execFileSync('mkfifo', [path.join(site.image, 'boot/initrd.img-1')]);
  expect(await readBoot(site.image)).toMatchObject({
    entries: [],
    problems: ['boot/initrd.img-1 is neither file nor directory and is left out'],
  });
});

it('leaves out names that are not UTF-8, and says so', async () => {
  fs.writeFileSync(Buffer.concat([Buffer.from(`${site.image}/boot/`), Buffer.from([0xff, 0x41])]), '');
  expect(await readBoot(site.image)).toMatchObject({
    entries: [],
    problems: ['boot/ has 1 names that are not UTF-8 and are left out'],
  });
});

it('an image without boot/ has nothing, and says so', async () => {
  fs.rmdirSync(path.join(site.image, 'boot'));
  expect(await readBoot(site.image)).toMatchObject({ entries: [], kernels: [], problems: ['there is no boot/'] });
});

it.each([
  ['own', 'default mine\n'],
  ['regenerated', `${REGENERATED}default ltsp\n`],
])('tells a pxelinux.cfg/default that is %s', async (kind, text) => {
  write(site.image, { 'boot/pxelinux.cfg/default': text });
  expect((await readBoot(site.image)).pxeDefault).toBe(kind);
});

it('reads a mounted image as it reads a directory', async () => {
  addReferenceKernels(site.image);
  link('vmlinuz-6.1.0-2-amd64', 'boot/vmlinuz');
  const [image, mountPoint] = [path.join(site.directory, 'img'), path.join(site.directory, 'mnt')];
  execFileSync('mksquashfs', [site.image, image, '-noappend', '-quiet', '-no-progress']);
  fs.mkdirSync(mountPoint);
  const mounted = await mountImage(image, mountPoint);
  try {
    const { root, ...boot } = await readBoot(mounted.root);
    const { root: _, ...expected } = await readBoot(site.image);
    expect(boot).toEqual(expected);
    expect(boot.entries).toContainEqual({ kind: 'link', path: 'vmlinuz', leadsTo: 'vmlinuz-6.1.0-2-amd64' });
  } finally {
    await mounted.close();
  }
});

it('keeps no descriptor open', async () => {
  addReferenceKernels(site.image);
  link('/etc/shadow', 'boot/vmlinuz');
  await readBoot(site.image);
  const before = fs.readdirSync('/proc/self/fd').length;
  await readBoot(site.image);
  expect(fs.readdirSync('/proc/self/fd').length).toBe(before);
});
