import path from 'node:path';
import type { Boot, BootEntry } from './boot.ts';
import { belongsTo, compareKernels, type Kernel } from './kernels.ts';

/** Whose names clients ask for: LTSP 5's, LTSP 19's, or both where it isn't known. */
export type LayoutKind = 'ltsp5' | 'ltsp19' | 'both';

/** What a TFTP boot directory gets from an image. Paths are relative to it. */
export type Layout = {
  kind: LayoutKind;
  /** A directory comes before what is in it. */
  directories: readonly string[];
  /** `from` is the file's path in boot/; `size` in bytes. */
  files: readonly { path: string; from: string; size: number }[];
  /** `target` is relative to the link's directory. */
  links: readonly BootLink[];
  /**
   * Made as long as the admin has no file of that name that is to stay. pxelinux.cfg/default → ltsp is the one: it
   * replaces what says of itself that it is made anew.
   */
  yieldingLinks: readonly BootLink[];
  /** Names to be linked at the top of the TFTP directory. */
  atTop: readonly string[];
  /**
   * Versions that have modules in the image, or null where none does: kernels of others cannot run with it and go with all
   * that belongs to them, also those that LTSP left in the directory.
   */
  modules: readonly string[] | null;
  /** The version that clients get, of each flavour (LTSP 5) or of all (LTSP 19, under '*'). */
  kernels: ReadonlyMap<string, string>;
  /** What clients will miss, a sentence each. */
  problems: readonly string[];
};

export type BootLink = { path: string; target: string };

/** Ours alone: what the directory has from us, in `manifest.ts`. */
export const MANIFEST = '.ltsp-autoimage.json';

/**
 * Decides what a TFTP boot directory gets: for LTSP 5 boot/ as a whole, less kernels without modules, with links by
 * flavour; for LTSP 19 `vmlinuz` and `initrd.img`. Pure.
 */
export function planBootDirectory(boot: Boot, { layout: kind }: { layout: LayoutKind }): Layout {
  const modules = boot.kernels.some(({ modules }) => modules === 'present') ? boot.modules : null;
  const usable = boot.kernels.filter((kernel) => modules === null || kernel.modules === 'present');
  const complete = usable.filter(({ initrd }) => initrd !== null);
  const best = complete.at(-1);
  const problems = best === undefined ? ['there is no kernel with an initrd in boot/'] : [];
  if (kind === 'ltsp19') {
    return {
      ...{ kind, modules, problems, atTop: [], directories: [], links: [], yieldingLinks: [] },
      files: best === undefined ? [] : plainFiles(boot, best),
      kernels: new Map(best === undefined ? [] : [['*', best.version]]),
    };
  }
  const entries = entriesOf(
    boot,
    boot.kernels.filter((kernel) => !usable.includes(kernel)),
  );
  const files = entries.filter((entry) => entry.kind === 'file');
  const taken = new Set(entries.flatMap((entry) => (entry.kind === 'link' ? [] : [entry.path])));
  const flavours = bestOfFlavours(complete);
  const ours = [
    ...[...flavours.values()].flatMap((kernel) => flavourLinks(kernel)),
    ...(kind === 'both' && best !== undefined ? plainLinks(best) : []),
  ].filter((link) => !taken.has(link.path));
  const links = new Map(entries.flatMap((entry) => (entry.kind === 'link' ? [relativeLink(entry)] : [])));
  for (const link of ours) links.set(link.path, link.target);
  return {
    ...{ kind, modules, problems },
    directories: entries.filter((entry) => entry.kind === 'directory').map((entry) => entry.path),
    files: files.map((file) => ({ path: file.path, from: file.path, size: file.size })),
    links: [...links].map(([path, target]) => ({ path, target })),
    yieldingLinks: pxeDefaultLinks(boot, taken),
    atTop: ['yaboot', 'yaboot.conf'].filter((name) => taken.has(name) || links.has(name)),
    kernels: new Map([
      ...[...flavours].map(([flavour, { version }]) => [flavour, version] as const),
      ...(kind === 'both' && best !== undefined ? [['*', best.version] as const] : []),
    ]),
  };
}

/** What of boot/ is taken: without the kernels that cannot run, and without links that would lead to them. */
function entriesOf(boot: Boot, unusable: readonly Kernel[]): BootEntry[] {
  const gone = (file: string): boolean => {
    const [top = ''] = file.split('/', 1);
    return top === MANIFEST || unusable.some((kernel) => kernel.file === top || belongsTo(top, kernel.version));
  };
  const replaced = (file: string): boolean => file === 'pxelinux.cfg/default' && boot.pxeDefault === 'regenerated';
  return boot.entries.filter((entry) => {
    if (replaced(entry.path) || gone(entry.path)) return false;
    return entry.kind !== 'link' || !(replaced(entry.leadsTo) || gone(entry.leadsTo));
  });
}

function bestOfFlavours(kernels: readonly Kernel[]): Map<string, Kernel> {
  const best = new Map<string, Kernel>();
  for (const kernel of [...kernels].sort(compareKernels)) {
    if (kernel.flavour !== null) best.set(kernel.flavour, kernel);
  }
  return best;
}

function flavourLinks({ file, initrd, flavour }: Kernel): BootLink[] {
  if (initrd === null || flavour === null) return [];
  const prefix = /^vmlinu[xz](?=-)/.exec(file)?.[0] ?? 'vmlinuz';
  return [
    { path: `${prefix}-${flavour}`, target: file },
    { path: `initrd.img-${flavour}`, target: initrd },
  ];
}

function plainLinks({ file, initrd }: Kernel): BootLink[] {
  const links = [{ path: 'vmlinuz', target: file }];
  if (initrd !== null) links.push({ path: 'initrd.img', target: initrd });
  return links.filter(({ path, target }) => path !== target);
}

function plainFiles(boot: Boot, { file, initrd }: Kernel): Layout['files'] {
  return [
    { path: 'vmlinuz', from: file },
    { path: 'initrd.img', from: initrd },
  ].flatMap(({ path, from }) => {
    const entry = boot.entries.find((one) => one.path === from);
    const real = entry?.kind === 'link' ? boot.entries.find((one) => one.path === entry.leadsTo) : entry;
    return real?.kind === 'file' ? [{ path, from: real.path, size: real.size }] : [];
  });
}

/** As LTSP 5 does it: `default` is a link to `ltsp` unless someone wrote one. */
function pxeDefaultLinks({ entries, pxeDefault }: Boot, files: ReadonlySet<string>): BootLink[] {
  const ltsp = files.has('pxelinux.cfg/ltsp') || entries.some(({ path }) => path === 'pxelinux.cfg/ltsp');
  return ltsp && pxeDefault !== 'own' ? [{ path: 'pxelinux.cfg/default', target: 'ltsp' }] : [];
}

function relativeLink({ path: link, leadsTo }: { path: string; leadsTo: string }): [string, string] {
  return [link, path.posix.relative(path.posix.dirname(link), leadsTo) || '.'];
}
