import { readInside } from '../../chroot/open-inside.ts';

/** What a kernel has in itself. */
export type BuiltIn = {
  /** Values of its boot/config-VERSION; null where there is none. */
  config: ReadonlyMap<string, string> | null;
  /** Names of modules.builtin, for example squashfs. */
  modules: ReadonlySet<string>;
};

/** Bytes; Debian's have 260 kB and 30 kB. */
const LIMIT = 4 * 1024 * 1024;

/**
 * @param version the kernel's; '' for a plain vmlinuz
 * @param modulesOf versions in lib/modules that are this kernel's
 */
export function readBuiltIn(root: string, version: string, modulesOf: readonly string[]): BuiltIn {
  const names = version === '' ? ['boot/config'] : [`boot/config-${version}`];
  const places = [...names, ...modulesOf.flatMap((one) => both(`lib/modules/${one}/config`))];
  const text = places.map((place) => textOf(root, place)).find((found) => found !== null);
  const builtin = modulesOf.flatMap((one) => both(`lib/modules/${one}/modules.builtin`));
  const lines = builtin.flatMap((place) => textOf(root, place)?.split('\n') ?? []);
  return {
    config: text === undefined ? null : configOf(text),
    modules: new Set(lines.flatMap((line) => /([^/]+)\.ko$/.exec(line)?.[1] ?? [])),
  };
}

/** lib/ may be a link to usr/lib, or both may be directories. */
function both(place: string): string[] {
  return [place, `usr/${place}`];
}

function textOf(root: string, file: string): string | null {
  const found = readInside(root, file, LIMIT);
  return found.kind === 'read' ? found.data.toString('utf8') : null;
}

function configOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
}
