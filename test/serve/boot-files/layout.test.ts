import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBoot } from '../../../src/serve/boot-files/boot.ts';
import { type Layout, type LayoutKind, planBootDirectory } from '../../../src/serve/boot-files/layout.ts';
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

const plan = async (layout: LayoutKind): Promise<Layout> => planBootDirectory(await readBoot(site.image), { layout });
const namesOf = ({ files }: Layout): string[] => files.map((file) => file.path).sort();
const linksOf = ({ links }: Layout): Record<string, string> =>
  Object.fromEntries(links.map(({ path, target }) => [path, target]));
const remove = (name: string): void => fs.rmSync(path.join(site.image, name), { recursive: true });

describe("LTSP 5's layout", () => {
  it('has boot/ as a whole, and links to the highest version of each flavour that has both', async () => {
    addReferenceKernels(site.image);
    addKernel(site.image, '6.1.0-2-rt-amd64');
    addKernel(site.image, '6.1.0-10-amd64');
    addKernel(site.image, '6.1.0-11-amd64');
    remove('boot/initrd.img-6.1.0-11-amd64');
    write(site.image, { 'boot/grub/fonts/unicode.pf2': 'font' });
    const layout = await plan('ltsp5');
    expect(linksOf(layout)).toEqual({
      'vmlinuz-amd64': 'vmlinuz-6.1.0-10-amd64',
      'initrd.img-amd64': 'initrd.img-6.1.0-10-amd64',
      'vmlinuz-rt-amd64': 'vmlinuz-6.1.0-2-rt-amd64',
      'initrd.img-rt-amd64': 'initrd.img-6.1.0-2-rt-amd64',
    });
    expect(layout.directories).toEqual(['grub', 'grub/fonts', 'pxelinux.cfg']);
    expect(namesOf(layout)).toContain('grub/fonts/unicode.pf2');
    expect(namesOf(layout)).toContain('vmlinuz-6.1.0-11-amd64');
    expect(layout.kernels).toEqual(
      new Map([
        ['amd64', '6.1.0-10-amd64'],
        ['rt-amd64', '6.1.0-2-rt-amd64'],
      ]),
    );
    expect(layout.problems).toEqual([]);
  });

  it('leaves out a kernel without modules, with all that belongs to it, and links to it', async () => {
    addReferenceKernels(site.image);
    write(site.image, {
      'boot/abi-6.1.0-2-amd64': '',
      'boot/initrd.img-6.1.0-2-amd64.old-dkms': '',
      'boot/initramfs-6.1.0-2-amd64.img': '',
      'boot/dtbs-6.1.0-2-amd64/board.dtb': '',
    });
    fs.symlinkSync('vmlinuz-6.1.0-2-amd64', path.join(site.image, 'boot/vmlinuz'));
    remove('lib/modules/6.1.0-2-amd64');
    const layout = await plan('ltsp5');
    expect(namesOf(layout).filter((name) => name.includes('6.1.0-2'))).toEqual([]);
    expect(layout.directories).toEqual(['pxelinux.cfg']);
    expect(linksOf(layout)).toEqual({
      'vmlinuz-amd64': 'vmlinuz-6.1.0-1-amd64',
      'initrd.img-amd64': 'initrd.img-6.1.0-1-amd64',
    });
  });

  it('keeps all kernels where none has modules: they may be built without', async () => {
    addReferenceKernels(site.image);
    remove('lib/modules');
    const layout = await plan('ltsp5');
    expect(linksOf(layout)['vmlinuz-amd64']).toBe('vmlinuz-6.1.0-2-amd64');
    expect(layout.modules).toBeNull();
  });

  it('replaces a flavour link that the image has, and no file', async () => {
    addReferenceKernels(site.image);
    fs.symlinkSync('vmlinuz-6.1.0-1-amd64', path.join(site.image, 'boot/vmlinuz-amd64'));
    write(site.image, { 'boot/initrd.img-amd64': 'a file' });
    const layout = await plan('ltsp5');
    expect(linksOf(layout)).toEqual({ 'vmlinuz-amd64': 'vmlinuz-6.1.0-2-amd64' });
    expect(namesOf(layout)).toContain('initrd.img-amd64');
  });

  it('links Fedora kernels under no flavour, as their names have none', async () => {
    write(site.image, { 'boot/vmlinuz-6.5.6-300.fc39.x86_64': '', 'boot/initramfs-6.5.6-300.fc39.x86_64.img': '' });
    expect(linksOf(await plan('ltsp5'))).toEqual({});
  });

  it.each([
    ['made by LTSP', { 'pxelinux.cfg/ltsp': '', 'pxelinux.cfg/default': REGENERATED }, ['pxelinux.cfg/ltsp'], true],
    ['absent', { 'pxelinux.cfg/ltsp': '' }, ['pxelinux.cfg/ltsp'], true],
    [
      'own',
      { 'pxelinux.cfg/ltsp': '', 'pxelinux.cfg/default': 'x' },
      ['pxelinux.cfg/default', 'pxelinux.cfg/ltsp'],
      false,
    ],
    ['without ltsp beside it', { 'pxelinux.cfg/default': 'x' }, ['pxelinux.cfg/default'], false],
  ])('with a pxelinux.cfg/default that is %s', async (_, files, names, linked) => {
    write(path.join(site.image, 'boot'), files);
    const layout = await plan('ltsp5');
    expect(namesOf(layout)).toEqual(names);
    expect(layout.yieldingLinks).toEqual(linked ? [{ path: 'pxelinux.cfg/default', target: 'ltsp' }] : []);
  });

  it('rewrites links as relative ones, from where they stand', async () => {
    write(site.image, { 'boot/grub/': '', 'boot/memtest.bin': '' });
    fs.symlinkSync('/boot/memtest.bin', path.join(site.image, 'boot/grub/memtest'));
    fs.symlinkSync('/boot', path.join(site.image, 'boot/boot'));
    expect(linksOf(await plan('ltsp5'))).toEqual({ boot: '.', 'grub/memtest': '../memtest.bin' });
  });

  it('has yaboot linked at the top', async () => {
    write(site.image, { 'boot/yaboot': '', 'boot/yaboot.conf': '' });
    expect((await plan('ltsp5')).atTop).toEqual(['yaboot', 'yaboot.conf']);
  });

  it('takes no manifest from an image', async () => {
    write(site.image, { 'boot/.ltsp-autoimage.json/x': '' });
    expect(await plan('ltsp5')).toMatchObject({ files: [], directories: [] });
  });
});

describe("LTSP 19's layout", () => {
  it('has the highest kernel and its initrd under plain names, as files', async () => {
    addReferenceKernels(site.image);
    const layout = await plan('ltsp19');
    expect(layout.files).toMatchObject([
      { path: 'vmlinuz', from: 'vmlinuz-6.1.0-2-amd64' },
      { path: 'initrd.img', from: 'initrd.img-6.1.0-2-amd64' },
    ]);
    expect(layout.links).toEqual([]);
    expect(layout.kernels).toEqual(new Map([['*', '6.1.0-2-amd64']]));
  });

  it.each([
    [['6.1.0-2-amd64', '6.1.0-2-rt-amd64'], '6.1.0-2-amd64'],
    [['6.1.0-2-686', '6.1.0-2-686-pae'], '6.1.0-2-686'],
    [['6.1.0-2-amd64', '6.1.0-3-rt-amd64'], '6.1.0-3-rt-amd64'],
  ])('of %s chooses %s', async (versions, chosen) => {
    for (const version of versions) addKernel(site.image, version);
    expect((await plan('ltsp19')).files[0]).toMatchObject({ from: `vmlinuz-${chosen}` });
  });

  it('follows a link to an initrd inside boot/', async () => {
    write(site.image, { 'boot/vmlinuz-6.1': 'k', 'boot/real': 'i' });
    fs.symlinkSync('real', path.join(site.image, 'boot/initrd.img-6.1'));
    expect((await plan('ltsp19')).files).toMatchObject([{ from: 'vmlinuz-6.1' }, { path: 'initrd.img', from: 'real' }]);
  });

  it('says that there is nothing to boot', async () => {
    write(site.image, { 'boot/vmlinuz-6.1': 'k' });
    expect(await plan('ltsp19')).toMatchObject({ files: [], problems: ['there is no kernel with an initrd in boot/'] });
  });
});

it('both layouts together have boot/, flavour links and plain links', async () => {
  addReferenceKernels(site.image);
  expect(linksOf(await plan('both'))).toEqual({
    'vmlinuz-amd64': 'vmlinuz-6.1.0-2-amd64',
    'initrd.img-amd64': 'initrd.img-6.1.0-2-amd64',
    vmlinuz: 'vmlinuz-6.1.0-2-amd64',
    'initrd.img': 'initrd.img-6.1.0-2-amd64',
  });
});
