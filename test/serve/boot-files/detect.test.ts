import { afterEach, beforeEach, expect, it } from 'vitest';
import { detectLayout } from '../../../src/serve/boot-files/detect.ts';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { switchBootDirectory } from '../../../src/serve/boot-files/switch.ts';
import { addReferenceKernels, type BootSite, makeBootSite, prepared, removeBootSite, write } from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite();
});
afterEach(() => removeBootSite(site));

const detect = () => detectLayout([`${site.directory}/none`, site.tftp], 'ltsp', 'amd64');

it.each([
  ['both', 'nothing', []],
  ['ltsp5', 'pxelinux.cfg of the chroot', ['ltsp/amd64/pxelinux.cfg/default']],
  ['ltsp5', 'lts.conf of the chroot', ['ltsp/amd64/lts.conf']],
  ['ltsp5', 'pxelinux.cfg of another chroot', ['ltsp/i386/pxelinux.cfg/default']],
  ['ltsp19', 'ltsp.ipxe', ['ltsp/ltsp.ipxe']],
  ['ltsp19', 'ltsp.img', ['ltsp/ltsp.img']],
  ['ltsp19', 'plain kernels', ['ltsp/amd64/vmlinuz', 'ltsp/amd64/initrd.img']],
  ['both', 'traces of both', ['ltsp/i386/pxelinux.cfg/default', 'ltsp/ltsp.ipxe']],
  ['ltsp5', 'traces of both, its own of LTSP 5', ['ltsp/amd64/pxelinux.cfg/default', 'ltsp/ltsp.ipxe']],
])('says %s for a site with %s', (layout, _, files) => {
  write(site.tftp, Object.fromEntries(files.map((file) => [file, ''])));
  expect(detect()).toBe(layout);
});

it.each(['ltsp5', 'ltsp19', 'both'] as const)('says %s again after it was so once', async (layout) => {
  addReferenceKernels(site.image);
  const job = await prepared(site, layout);
  await makeNext(job.plan, job.boot, job.layout);
  switchBootDirectory(job.plan, job.layout);
  expect(detect()).toBe(layout);
});
