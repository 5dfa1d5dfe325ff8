import fs from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { openInside } from '../../chroot/open-inside.ts';
import { CancelledError } from '../../errors.ts';
import type { Boot } from './boot.ts';
import { statsOf } from './directory-tree.ts';
import type { BootLink, Layout } from './layout.ts';
import { readManifest } from './manifest.ts';

const CHUNK = 1024 * 1024;

/**
 * Whether a TFTP boot directory has already what an image would give it, byte for byte: most changes of a chroot leave
 * its kernels alone, and then there is nothing to switch.
 * @throws CancelledError when `signal` ends it; an error with `code` when a file cannot be read
 */
export async function hasBootFiles(
  directory: string,
  boot: Boot,
  layout: Layout,
  signal: AbortSignal,
): Promise<boolean> {
  const manifest = readManifest(directory);
  const paths = [...layout.directories, ...[...layout.files, ...layout.links].map((one) => one.path)];
  const wanted = { layout: layout.kind, paths: paths.sort(), yielding: sorted(layout.yieldingLinks) };
  const { layout: kind, paths: present = [], yielding = [], going = [] } = manifest ?? {};
  // a crash kept what the last switch replaced from going
  if (going.length > 0) return false;
  if (!isDeepStrictEqual({ layout: kind, paths: present.sort(), yielding: sorted(yielding) }, wanted)) return false;
  const at = (file: string): string => path.join(directory, file);
  if (!layout.directories.every((one) => statsOf(at(one))?.isDirectory())) return false;
  if (!layout.links.every((link) => leadsTo(at(link.path), link.target))) return false;
  for (const file of layout.files) {
    if (!(await isSame(boot.root, path.join('boot', file.from), at(file.path), signal))) return false;
  }
  return true;
}

function sorted(links: readonly BootLink[]): BootLink[] {
  return [...links].sort((one, other) => (one.path < other.path ? -1 : 1));
}

function leadsTo(link: string, target: string): boolean {
  return statsOf(link)?.isSymbolicLink() === true && fs.readlinkSync(link) === target;
}

/** The file of the image and the one in the directory have the same time and the same bytes. */
async function isSame(root: string, inImage: string, present: string, signal: AbortSignal): Promise<boolean> {
  const stats = statsOf(present);
  if (stats?.isFile() !== true) return false;
  const fd = openInside(root, inImage, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  if (fd === null) return false;
  try {
    const { size, mtimeMs } = fs.fstatSync(fd);
    if (stats.size !== size || Math.abs(stats.mtimeMs - mtimeMs) >= 1000) return false;
    const other = await fs.promises.open(present, 'r');
    try {
      const [one, two] = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)];
      for (let at = 0; at < size; at += CHUNK) {
        if (signal.aborted) throw new CancelledError('comparing boot files was stopped');
        const length = fs.readSync(fd, one, 0, CHUNK, at);
        const { bytesRead } = await other.read(two, 0, CHUNK, at);
        if (length !== bytesRead || one.compare(two, 0, length, 0, length) !== 0) return false;
      }
      return true;
    } finally {
      await other.close();
    }
  } finally {
    fs.closeSync(fd);
  }
}
