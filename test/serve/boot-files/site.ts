import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Boot, readBoot } from '../../../src/serve/boot-files/boot.ts';
import { type Layout, type LayoutKind, planBootDirectory } from '../../../src/serve/boot-files/layout.ts';
import { bootPlaces } from '../../../src/serve/boot-files/place.ts';
import { type BootPlan, planSwitch } from '../../../src/serve/boot-files/plan.ts';

export const REGENERATED = '# This file is regenerated when update-kernels runs.\n';

/** An image's root directory and a TFTP directory, in a directory of their own. */
export type BootSite = { directory: string; image: string; tftp: string };

/** @param on `memory` where thousands of fsync calls would make a test long */
export function makeBootSite(on: 'disk' | 'memory' = 'disk'): BootSite {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'boot-files-'));
  if (on === 'memory') execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
  const site = { directory, image: path.join(directory, 'image'), tftp: path.join(directory, 'tftp') };
  fs.mkdirSync(path.join(site.image, 'boot'), { recursive: true });
  fs.mkdirSync(site.tftp);
  return site;
}

export function removeBootSite({ directory }: BootSite, on: 'disk' | 'memory' = 'disk'): void {
  if (on === 'memory') execFileSync('umount', [directory]);
  fs.rmSync(directory, { recursive: true, force: true });
}

/** Writes files below a directory, and what is missing above them; one that ends with `/` is a directory. */
export function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    fs.mkdirSync(name.endsWith('/') ? file : path.dirname(file), { recursive: true });
    if (!name.endsWith('/')) fs.writeFileSync(file, content);
  }
}

/** A Debian kernel with its initrd, config and modules. */
export function addKernel(image: string, version: string, content = version): void {
  write(image, {
    [`boot/vmlinuz-${version}`]: `kernel ${content}`,
    [`boot/initrd.img-${version}`]: `initrd ${content}`,
    [`boot/config-${version}`]: `config ${content}`,
    [`boot/System.map-${version}`]: `map ${content}`,
    [`lib/modules/${version}/modules.dep`]: '',
  });
}

/** The chroot of the reference run: two kernels, and pxelinux.cfg as LTSP's client makes it. */
export function addReferenceKernels(image: string): void {
  addKernel(image, '6.1.0-1-amd64');
  addKernel(image, '6.1.0-2-amd64');
  write(image, { 'boot/pxelinux.cfg/ltsp': `${REGENERATED}default ltsp\n` });
}

/** Everything below a directory by path: a file's content, `→ target` of a link, `/` of a directory. */
export function contentsOf(directory: string): Record<string, string> {
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const file = path.join(directory, name);
      const stats = fs.lstatSync(file);
      if (stats.isDirectory()) return [name, '/'];
      return [name, stats.isSymbolicLink() ? `→ ${fs.readlinkSync(file)}` : fs.readFileSync(file, 'utf8')];
    }),
  );
}

/** The same without what the product keeps for itself. */
export function visibleIn(directory: string): Record<string, string> {
  return Object.fromEntries(Object.entries(contentsOf(directory)).filter(([name]) => name !== '.ltsp-autoimage.json'));
}

export type Prepared = { plan: BootPlan; boot: Boot; layout: Layout; live: string };

/** What a job knows before it writes the first file. */
export async function prepared(site: BootSite, layout: LayoutKind = 'ltsp5'): Promise<Prepared> {
  const boot = await readBoot(site.image);
  const planned = planBootDirectory(boot, { layout });
  const [place] = bootPlaces([site.tftp], 'ltsp', 'amd64');
  if (place === undefined) throw new Error('no place for boot files');
  return { plan: planSwitch(place, planned), boot, layout: planned, live: path.join(site.tftp, 'ltsp/amd64') };
}
