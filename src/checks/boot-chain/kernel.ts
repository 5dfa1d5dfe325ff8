import { namesInside } from '../../chroot/open-inside.ts';
import type { Boot } from '../../serve/boot-files/boot.ts';
import { type Kernel, type Modules, modulesFor } from '../../serve/boot-files/kernels.ts';
import type { InitrdLook } from './initrd.ts';
import { type BuiltIn, readBuiltIn } from './kernel-config.ts';
import type { BootProblem } from './problem.ts';

/**
 * What keeps a client from booting one kernel of an image.
 * @param modules all that the image has
 * @param look at an initrd, by its path in boot/
 */
export async function kernelProblems(
  kernel: Kernel,
  boot: Boot,
  modules: readonly Modules[],
  look: (file: string) => Promise<InitrdLook>,
): Promise<BootProblem[]> {
  const name = kernel.version === '' ? kernel.file : kernel.version;
  const own = modulesFor(kernel.version, modules);
  const builtIn = readBuiltIn(boot.root, kernel.version, own);
  const problems: BootProblem[] = [];
  if (realFile(boot, kernel.file)?.size === 0) {
    problems.push({ severity: 'broken', kind: 'kernel', kernel: name, why: `boot/${kernel.file} is empty` });
  }
  const why = modulesProblem(boot.root, kernel, own, builtIn);
  if (why !== null) problems.push({ severity: 'broken', kind: 'modules', kernel: name, why });
  const file = kernel.initrd === null ? null : realFile(boot, kernel.initrd);
  if (kernel.initrd === null || file === null) {
    return [...problems, { severity: 'broken', kind: 'no-initrd', kernel: name }];
  }
  const about = { kernel: name, initrd: kernel.initrd };
  return [...problems, ...initrdProblems(about, kernel, own, builtIn, await look(file.path))];
}

/** The regular file in boot/ that a name there leads to. */
function realFile({ entries }: Boot, name: string): { path: string; size: number } | null {
  const entry = entries.find((one) => one.path === name);
  const real = entry?.kind === 'link' ? entries.find((one) => one.path === entry.leadsTo) : entry;
  return real?.kind === 'file' ? real : null;
}

function modulesProblem(root: string, { version }: Kernel, own: readonly string[], builtIn: BuiltIn): string | null {
  // one that cannot load modules needs none
  if (builtIn.config !== null && builtIn.config.get('CONFIG_MODULES') !== 'y') return null;
  if (own.length === 0) {
    const places = ['lib/modules', 'usr/lib/modules'].filter((place) => namesInside(root, place).includes(version));
    const [place] = version === '' ? [] : places;
    return place === undefined ? 'it has no modules in lib/modules' : `${place}/${version} is empty`;
  }
  const places = own.flatMap((one) => [`lib/modules/${one}`, `usr/lib/modules/${one}`]);
  const hasIndex = places.some((place) => namesInside(root, place).some((file) => /^modules\.dep(\.bin)?$/.test(file)));
  return hasIndex ? null : `lib/modules/${own[0]} has no modules.dep`;
}

/** What a way to the root is by: a module of the initrd, or a setting by which the kernel has it in itself. */
const SQUASHFS = [{ module: 'squashfs', config: 'CONFIG_SQUASHFS' }];
const NETWORK = [
  { module: 'nbd', config: 'CONFIG_BLK_DEV_NBD' },
  { module: 'nfs', config: 'CONFIG_NFS_FS' },
];

function initrdProblems(
  about: { kernel: string; initrd: string },
  { version }: Kernel,
  own: readonly string[],
  builtIn: BuiltIn,
  look: InitrdLook,
): BootProblem[] {
  if (look.kind === 'unusable') return [{ severity: 'broken', kind: 'initrd', ...about, why: look.why }];
  if (look.kind === 'unread') return [{ severity: 'doubtful', kind: 'initrd-unread', ...about, why: look.why }];
  const { config } = builtIn;
  const foreign = look.compressions.find((one) => config !== null && config.get(one.config) !== 'y');
  if (foreign !== undefined) {
    const why = `is compressed by ${foreign.name}, which this kernel cannot unpack (${foreign.config} is not set)`;
    return [{ severity: 'broken', kind: 'initrd', ...about, why }];
  }
  const versions = new Set(own.length > 0 ? own : [version]);
  const has = (ways: typeof SQUASHFS): boolean =>
    ways.some(
      (way) =>
        config?.get(way.config) === 'y' ||
        builtIn.modules.has(way.module) ||
        [...versions].some((one) => look.modules.has(`${one}/${way.module}`)),
    );
  const others = [...look.versions].some((one) => versions.has(one)) ? [] : [...look.versions];
  const problems: BootProblem[] = [];
  if (look.init === 'missing')
    problems.push({ severity: 'broken', kind: 'initrd', ...about, why: 'has no init in it' });
  if (look.damage !== null) problems.push({ severity: 'doubtful', kind: 'initrd', ...about, why: look.damage });
  if (!has(SQUASHFS)) problems.push({ severity: 'broken', kind: 'squashfs', ...about, others });
  if (!has(NETWORK)) problems.push({ severity: 'doubtful', kind: 'network-root', ...about });
  return problems;
}
