import fs from 'node:fs';
import path from 'node:path';
import type { LayoutKind } from './layout.ts';
import { readManifest } from './manifest.ts';

type Evidence = 'ltsp5' | 'ltsp19';

/**
 * Whose names a site's clients ask for, by what its TFTP directories have: LTSP 5 leaves pxelinux.cfg or lts.conf in a
 * chroot's directory, LTSP 19 ltsp.ipxe or ltsp.img beside it, or plain kernels. The chroot's own directory decides, then
 * those of the others; both where nothing tells, or both do.
 * @param tftpDirs absolute paths; they need not exist
 * @param bootDir relative to each of them
 */
export function detectLayout(tftpDirs: readonly string[], bootDir: string, name: string): LayoutKind {
  const sites = tftpDirs.map((tftp) => path.join(tftp, bootDir));
  const own = sites.flatMap((site) => ofChroot(path.join(site, name)));
  if (own.length > 0) return only(own);
  return only(
    sites.flatMap((site) => [...ofSite(site), ...namesIn(site).flatMap((each) => ofChroot(path.join(site, each)))]),
  );
}

function only(found: readonly Evidence[]): LayoutKind {
  const [first, ...more] = new Set(found);
  return first === undefined || more.length > 0 ? 'both' : first;
}

function ofSite(site: string): Evidence[] {
  return ['ltsp.ipxe', 'ltsp.img'].some((file) => fs.existsSync(path.join(site, file))) ? ['ltsp19'] : [];
}

/** A directory that we made tells what was decided then, and nothing where that was doubt: else doubt would prove itself. */
function ofChroot(directory: string): Evidence[] {
  const has = (file: string): boolean => fs.existsSync(path.join(directory, file));
  const layout = readManifest(directory)?.layout;
  if (layout !== undefined) return layout === 'both' ? [] : [layout];
  if (['pxelinux.cfg', 'pxelinux.0', 'lts.conf'].some(has)) return ['ltsp5'];
  return has('vmlinuz') && has('initrd.img') ? ['ltsp19'] : [];
}

function namesIn(site: string): string[] {
  return fs.existsSync(site) ? fs.readdirSync(site).filter((name) => !name.startsWith('.')) : [];
}
