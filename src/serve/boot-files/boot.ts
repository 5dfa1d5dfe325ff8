import fs from 'node:fs';
import path from 'node:path';
import { namesInside, openInside, readInside } from '../../chroot/open-inside.ts';
import { hasCode, UserError } from '../../errors.ts';
import { applyKernelRules, readKernelRules } from './kernel-rules.ts';
import { findKernels, type Kernel, kernelNames, type Modules } from './kernels.ts';

/** What stands in boot/; paths are relative to it. A directory comes before what is in it. */
export type BootEntry =
  | { kind: 'directory'; path: string }
  /** `size` in bytes. */
  | { kind: 'file'; path: string; size: number }
  /** `leadsTo` is a file or directory of boot/ ('' for boot/ itself) after all links. */
  | { kind: 'link'; path: string; leadsTo: string };

/** The boot files of an image. */
export type Boot = {
  /** The image's root directory. */
  root: string;
  entries: readonly BootEntry[];
  /** Lowest version first. */
  kernels: readonly Kernel[];
  /** Versions in lib/modules. */
  modules: readonly string[];
  /** Whether pxelinux.cfg/default is there and says that it is made anew with each update. */
  pxeDefault: 'absent' | 'regenerated' | 'own';
  /** What is wrong with it, a sentence each. */
  problems: readonly string[];
};

/** Linux' O_PATH: a descriptor that only tells what a path is. */
const O_PATH = 0o10000000;
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;

/** The line by which LTSP tells a pxelinux.cfg/default that it may replace. */
const REGENERATED = /^# This file is regenerated when update-kernels runs\.\s*$/m;

/** Bytes; a pxelinux config has some hundred. */
const CONFIG_LIMIT = 1024 * 1024;

/** Deeper than any boot loader's directories, and far from the longest path that Linux takes. */
const DEEPEST = 20;

/**
 * Reads what an image has in boot/. Nothing outside of boot/ counts as a boot file: a symlink is followed inside the
 * image and only taken when it ends at something that is in boot/ itself.
 * @param root the root directory of the mounted image
 * @throws UserError when boot/ is no directory or the image's own rules for kernel names cannot be used
 */
export async function readBoot(root: string, signal?: AbortSignal): Promise<Boot> {
  const { entries, problems } = readEntries(root);
  const top = entries.filter((entry) => entry.kind !== 'directory' && !entry.path.includes('/'));
  const files = top.filter(({ kind }) => kind === 'file').map((entry) => entry.path);
  const modules = readModules(root);
  const candidates = await applyKernelRules(readKernelRules(root), files, kernelNames(files), signal);
  const kernels = findKernels(candidates, new Set(top.map((entry) => entry.path)), modules);
  return {
    root,
    entries,
    kernels,
    modules: modules.map(({ version }) => version),
    pxeDefault: pxeDefaultOf(root, entries),
    problems: [...problems, ...kernels.flatMap(kernelProblems)],
  };
}

/** What is in lib/modules, less empty directories. lib/ may be a link to usr/lib, or both may be directories. */
export function readModules(root: string): Modules[] {
  const found = new Map<string, Modules>();
  for (const directory of ['lib/modules', 'usr/lib/modules']) {
    for (const version of namesInside(root, directory)) {
      if (found.has(version) || namesInside(root, `${directory}/${version}`).length === 0) continue;
      const of = readInside(root, `${directory}/${version}/pkgbase`, 4096);
      found.set(version, { version, of: of.kind === 'read' ? of.data.toString('utf8').trim() : null });
    }
  }
  return [...found.values()];
}

/** True for a pxelinux.cfg/default that LTSP made and may replace. */
export function isRegenerated(text: string): boolean {
  return REGENERATED.test(text);
}

function kernelProblems({ file, version, initrd, modules }: Kernel): string[] {
  const name = `kernel ${version === '' ? file : version}`;
  return [
    ...(initrd === null ? [`${name} has no initrd and is left out`] : []),
    ...(modules === 'missing' ? [`${name} has no modules in lib/modules`] : []),
  ];
}

function readEntries(root: string): { entries: BootEntry[]; problems: string[] } {
  const stats = statOf(root, 'boot');
  if (stats === null) return { entries: [], problems: ['there is no boot/'] };
  // a boot/ that is a link could be any directory of the image
  if (!stats.isDirectory()) throw new UserError('cannot read the boot files of the image: boot/ is no directory');
  const found = new Map<string, string>([[inodeOf(stats), '']]);
  const entries: BootEntry[] = [];
  const links: string[] = [];
  const problems: string[] = [];
  readDirectory('', 0);
  for (const link of links) {
    const leadsTo = leadsToIn(root, link, found);
    if (leadsTo !== null) entries.push({ kind: 'link', path: link, leadsTo });
    else problems.push(`boot/${link} leads to nothing in boot/ and is left out`);
  }
  return { entries, problems };

  function readDirectory(directory: string, depth: number): void {
    const { names, unreadable } = namesOf(root, path.join('boot', directory));
    if (unreadable > 0) problems.push(`boot/${directory} has ${unreadable} names that are not UTF-8 and are left out`);
    for (const name of names) readEntry(path.join(directory, name), depth);
  }

  function readEntry(file: string, depth: number): void {
    const stats = statOf(root, path.join('boot', file));
    if (stats === null) return;
    if (stats.isSymbolicLink()) links.push(file);
    else if (stats.isFile()) {
      found.set(inodeOf(stats), file);
      entries.push({ kind: 'file', path: file, size: Number(stats.size) });
    } else if (!stats.isDirectory()) problems.push(`boot/${file} is neither file nor directory and is left out`);
    else if (depth >= DEEPEST) problems.push(`boot/${file} is too deep and is left out`);
    else {
      found.set(inodeOf(stats), file);
      entries.push({ kind: 'directory', path: file });
      readDirectory(file, depth + 1);
    }
  }
}

/** Which entry a link ends at, told by its inode, since that is the same by whatever path the link goes. */
function leadsToIn(root: string, link: string, found: ReadonlyMap<string, string>): string | null {
  try {
    const fd = openInside(root, path.join('boot', link), O_PATH);
    if (fd === null) return null;
    try {
      return found.get(inodeOf(fs.fstatSync(fd, { bigint: true }))) ?? null;
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    // links that lead to each other, or to a name that is too long
    if (hasCode(error, 'ELOOP', 'ENAMETOOLONG')) return null;
    throw error;
  }
}

/** Of the path itself, a link not followed; null when there is nothing. */
function statOf(root: string, file: string): fs.BigIntStats | null {
  const fd = openInside(root, file, O_PATH | O_NOFOLLOW);
  if (fd === null) return null;
  try {
    return fs.fstatSync(fd, { bigint: true });
  } finally {
    fs.closeSync(fd);
  }
}

function inodeOf({ dev, ino }: fs.BigIntStats): string {
  return `${dev}:${ino}`;
}

function namesOf(root: string, directory: string): { names: string[]; unreadable: number } {
  const fd = openInside(root, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd === null) return { names: [], unreadable: 0 };
  try {
    const all = fs.readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' });
    const names = all.map((name) => name.toString('utf8')).filter((name, i) => all[i]?.equals(Buffer.from(name)));
    return { names: names.sort(), unreadable: all.length - names.length };
  } finally {
    fs.closeSync(fd);
  }
}

function pxeDefaultOf(root: string, entries: readonly BootEntry[]): Boot['pxeDefault'] {
  const entry = entries.find((one) => one.path === 'pxelinux.cfg/default');
  if (entry === undefined || entry.kind === 'directory') return 'absent';
  const text = readInside(root, path.join('boot', entry.kind === 'link' ? entry.leadsTo : entry.path), CONFIG_LIMIT);
  return text.kind === 'read' && isRegenerated(text.data.toString('utf8')) ? 'regenerated' : 'own';
}
