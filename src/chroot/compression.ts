import { namesInside, readInside } from './open-inside.ts';

/** The kernels of a chroot (versions, sorted) and those of them that cannot mount a squashfs packed with zstd. */
export type KernelSupport = { kernels: string[]; without: string[] };

/** Bytes; Debian's have 250,000. */
const CONFIG_LIMIT = 4 * 1024 * 1024;

/**
 * Asks each kernel's own config (boot/config-VERSION) for zstd; one without a config counts as one that cannot. A chroot
 * without kernels has two empty lists.
 */
export function kernelsReadZstd(chrootPath: string): KernelSupport {
  const kernels = namesInside(chrootPath, 'boot').flatMap(kernelVersion).sort();
  const without = kernels.filter((version) => !readsZstd(chrootPath, version));
  return { kernels, without };
}

function kernelVersion(name: string): string[] {
  // what dpkg has not put in its place yet, or left beside, is nothing that boots
  if (/\.(dpkg-(new|tmp|old|dist)|old|bak)$/.test(name)) return [];
  const version = /^vmlinu[xz]-(.+)$/.exec(name)?.[1];
  return version === undefined ? [] : [version];
}

function readsZstd(chrootPath: string, version: string): boolean {
  const config = readInside(chrootPath, `boot/config-${version}`, CONFIG_LIMIT);
  return config.kind === 'read' && /^CONFIG_SQUASHFS_ZSTD=y$/m.test(config.data.toString('latin1'));
}
