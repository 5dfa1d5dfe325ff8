import fs from 'node:fs';
import path from 'node:path';
import { findInside, relativeInside } from './inside.ts';
import { PACKAGE_FILES } from './package-files.ts';

/**
 * What lstat says of each path, as one string: it differs when one of them was changed, replaced, removed or made. Cheap:
 * nothing is read. Of a directory it tells what came into it or left it, not what changed below.
 */
export function stampOf(paths: readonly string[]): string {
  return paths.map((file) => `${file} ${statOf(file)}`).join('\n');
}

/**
 * The paths that the regular look compares, absolute: what `watchChroot` watches and, since no event tells of it, dpkg's
 * directory of updates that are not in `status` yet. No symlink leads out of the chroot.
 */
export function watchedPaths(chroot: string, extra: readonly string[]): string[] {
  const inPackageFiles = PACKAGE_FILES.flatMap(({ directory, names }) =>
    names.map((name) => path.join(directory, name)),
  );
  return [...inPackageFiles, 'var/lib/dpkg/updates', ...extra].map((file) => realPathOf(chroot, file));
}

/** Of what is not there yet, the first part that is missing: nothing below it can be there either. */
function realPathOf(chroot: string, file: string): string {
  const found = findInside(chroot, file);
  if ('path' in found) return found.path;
  for (let missing = relativeInside(file); missing !== '' && missing !== '.'; missing = path.dirname(missing)) {
    const parent = findInside(chroot, path.dirname(missing));
    if ('path' in parent) return path.join(parent.path, path.basename(missing));
  }
  return chroot;
}

function statOf(file: string): string {
  try {
    const stats = fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return 'absent';
    return `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
  }
}
