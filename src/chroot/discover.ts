import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { hasCode, messageOf, UsageError } from '../errors.ts';
import { run } from '../system/processes.ts';
import type { Chroot } from './chroot.ts';
import { isFileInside } from './open-inside.ts';

export type Discovery = {
  /** By name. */
  chroots: Chroot[];
  /** What looks like a chroot, or should be one, and cannot be taken; in words. */
  problems: string[];
};

/**
 * The chroots there are now: each directory of the base directory with `bin/true` in it, `images` and hidden names aside,
 * and those named in the config. Their paths are free of symlinks, since mksquashfs would put the link itself into the
 * image; the name is the link's.
 * @throws UsageError when one that the config names has the name of another
 */
export async function discover(config: Config): Promise<Discovery> {
  const chroots: Chroot[] = [];
  const problems: string[] = [];
  for (const directory of directoriesOf(config.base, problems)) {
    const found = lookAt(directory);
    if (found.kind === 'chroot') {
      addChroot(chroots, problems, { name: nameOf(directory), path: found.path }, directory, 'found');
    }
    if (found.kind === 'unreadable') problems.push(`cannot use the chroot ${directory}: ${found.why}`);
  }
  for (const listed of config.chroots) {
    const found = lookAt(listed);
    if (found.kind !== 'chroot') {
      problems.push(`cannot use the chroot ${listed}: ${found.why}`);
      continue;
    }
    const name = await nameOfListed(listed, config.root, problems);
    if (name !== undefined) addChroot(chroots, problems, { name, path: found.path }, listed, 'listed');
  }
  return { chroots: chroots.sort((a, b) => (a.name < b.name ? -1 : 1)), problems };
}

/** The last part of a chroot's path, without extension: `/opt/ltsp/fat.img.d/` is `fat.img`. */
export function nameOf(directory: string): string {
  return path.parse(path.resolve(directory)).name;
}

function directoriesOf(base: string, problems: string[]): string[] {
  try {
    const names = fs.readdirSync(base).filter((name) => name !== 'images' && !name.startsWith('.'));
    return names.sort().map((name) => path.join(base, name));
  } catch (error) {
    const why = hasCode(error, 'ENOENT') ? 'it does not exist' : messageOf(error);
    problems.push(`cannot look for chroots in ${base}: ${why}`);
    return [];
  }
}

/** `path` is free of symlinks. */
type Found = { kind: 'chroot'; path: string } | { kind: 'other' | 'unreadable'; why: string };

function lookAt(directory: string): Found {
  try {
    const real = fs.realpathSync(directory);
    if (!fs.statSync(real).isDirectory()) return { kind: 'other', why: 'it is not a directory' };
    if (isFileInside(real, 'bin/true')) return { kind: 'chroot', path: real };
    return { kind: 'other', why: 'it has no bin/true' };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { kind: 'other', why: 'it does not exist' };
    return { kind: 'unreadable', why: messageOf(error) };
  }
}

async function nameOfListed(listed: string, root: string, problems: string[]): Promise<string | undefined> {
  if (path.resolve(listed) !== path.resolve(root === '' ? '/' : root)) return nameOf(listed);
  try {
    return await hostArchitecture();
  } catch (error) {
    problems.push(`cannot name the chroot ${listed} after this machine's architecture: ${messageOf(error)}`);
    return undefined;
  }
}

let architecture: string | undefined;

/** It never changes while we run. */
async function hostArchitecture(): Promise<string> {
  architecture ??= (await run('dpkg', ['--print-architecture'])).stdout.trim();
  return architecture;
}

/** Names become file names, export names and flag files; `all` is the flag file that means every chroot. */
function isUsable(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/.test(name) && name !== 'all';
}

function addChroot(
  chroots: Chroot[],
  problems: string[],
  chroot: Chroot,
  from: string,
  kind: 'found' | 'listed',
): void {
  const { name } = chroot;
  if (!isUsable(name)) {
    const allowed = name === 'all' ? 'the name all means every chroot' : 'letters, digits and . _ + - are allowed';
    problems.push(`cannot use the chroot ${from}: ${JSON.stringify(name)} cannot be the name of an image (${allowed})`);
    return;
  }
  const twin = chroots.find((other) => other.name === name);
  if (twin === undefined) {
    chroots.push(chroot);
  } else if (twin.path !== chroot.path) {
    // a copy beside a chroot, such as amd64.bak, sorts behind it and must not stop everything
    const both = `${twin.path} and ${chroot.path} are both named ${name}`;
    if (kind === 'listed') throw new UsageError(`cannot tell two chroots apart: ${both} (rename one of them)`);
    problems.push(
      `cannot use the chroot ${chroot.path}: ${both}, and the first is the one that counts (rename one of them)`,
    );
  }
}
