import { compareVersions } from './version-order.ts';

/** A kernel of an image's boot/. */
export type Kernel = {
  /** Its file name in boot/, for example vmlinuz-6.1.0-2-amd64. */
  file: string;
  /** For example 6.1.0-2-amd64; Arch Linux has `linux`. '' when it is plain `vmlinuz`. */
  version: string;
  /** What LTSP 5 tells kernels by: the part of the version after two dashes, or what update-kernels.conf says. */
  flavour: string | null;
  /** The file name of its initrd in boot/. */
  initrd: string | null;
  modules: 'present' | 'missing';
};

/** What a kernel's file name is to LTSP 5: its flavour and its initrd, when the image's own rules say so. */
export type NamedKernel = { file: string; flavour?: string; initrd?: string };

/** Names in lib/modules; `of` is the package that a directory says it belongs to (Arch Linux' pkgbase). */
export type Modules = { version: string; of: string | null };

/** What dpkg has not put in its place yet, or left beside, is nothing that boots. */
const LEFT_BESIDE = /\.(dpkg-(new|tmp|old|dist)|old|bak|sig|signed|hmac)$/;

/** Which of the names in boot/ are kernels, by the names that Debian, Fedora and Arch Linux give. */
export function kernelNames(names: readonly string[]): NamedKernel[] {
  return names.filter((name) => versionOf(name) !== null).map((file) => ({ file }));
}

/**
 * Puts each kernel together with what belongs to it.
 * @param names regular files and links in boot/ itself
 * @returns lowest version first; of vmlinux-VER and vmlinuz-VER only the latter
 */
export function findKernels(
  kernels: readonly NamedKernel[],
  names: ReadonlySet<string>,
  modules: readonly Modules[],
): Kernel[] {
  return kernels
    .map((named): Kernel => {
      const version = versionOf(named.file) ?? named.file.replace(/^[^-]*-?/, '');
      const initrd = named.initrd === undefined ? initrdsOf(version).find((name) => names.has(name)) : named.initrd;
      return {
        file: named.file,
        version,
        flavour: flavourOf(named.flavour ?? /^[^-]*-[^-]*-(.+)$/.exec(version)?.[1]),
        initrd: initrd !== undefined && names.has(initrd) ? initrd : null,
        modules: modulesFor(version, modules).length > 0 ? 'present' : 'missing',
      };
    })
    .filter(({ file }) => !(file.startsWith('vmlinux-') && names.has(file.replace('vmlinux-', 'vmlinuz-'))))
    .sort(compareKernels);
}

/** Lower first. Of two flavours of one version the one with the shorter name is higher: it runs on more machines. */
export function compareKernels(one: Kernel, other: Kernel): number {
  return (
    compareVersions(release(one), release(other)) ||
    (other.flavour ?? '').length - (one.flavour ?? '').length ||
    compareVersions(one.version, other.version)
  );
}

/** True for a file in boot/ that belongs to a kernel of this version: the kernel, its config, map, initrd, device trees. */
export function belongsTo(name: string, version: string): boolean {
  const at = name.indexOf(`-${version}`);
  if (version === '' || at < 0 || !COMPANION.has(name.slice(0, at))) return false;
  const rest = name.slice(at + 1 + version.length);
  return rest === '' || /^\.(img|gz|xz|zst|old|bak|old-dkms|dpkg-(?:new|tmp|old|dist|bak)|sig|signed|hmac)$/.test(rest);
}

const COMPANION = new Set([
  ...['vmlinuz', 'vmlinux', 'config', 'System.map', 'initrd.img', 'initrd', 'initramfs', 'abi', 'dtbs', 'dtb'],
  ...['retpoline', 'symvers', 'vmcoreinfo', '.vmlinuz', 'kernel'],
]);

/** The version in a kernel's file name; null when it is no kernel. */
export function versionOf(name: string): string | null {
  if (name === 'vmlinuz') return '';
  return LEFT_BESIDE.test(name) ? null : (/^vmlinu[xz]-(.+)$/.exec(name)?.[1] ?? null);
}

/**
 * The versions in lib/modules that are a kernel's. One named after its package (`linux`, `lts`) finds its modules by what
 * they say of themselves or end with; nothing tells which are a plain vmlinuz' (version ''): all may be.
 */
export function modulesFor(version: string, modules: readonly Modules[]): string[] {
  const exact = modules.filter((one) => version === '' || one.version === version || one.of === version);
  const byEnding = exact.length > 0 || /^\d/.test(version) ? [] : modules;
  return [...exact, ...byEnding.filter((one) => one.version.endsWith(`-${version}`))].map((one) => one.version);
}

function initrdsOf(version: string): string[] {
  if (version === '') return ['initrd.img', 'initrd', 'initramfs.img', 'initramfs'];
  return [
    ...[`initrd.img-${version}`, `initramfs-${version}.img`, `initrd-${version}`],
    ...[`initrd-${version}.img`, `initramfs-${version}`],
  ];
}

/** It becomes part of a file name. */
function flavourOf(text: string | undefined): string | null {
  return text === undefined || text === '' || /[/\0\s]/.test(text) ? null : text;
}

function release({ version, flavour }: Kernel): string {
  return flavour !== null && version.endsWith(`-${flavour}`) ? version.slice(0, -flavour.length - 1) : version;
}
