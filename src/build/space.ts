import fs from 'node:fs';
import { UserError } from '../errors.ts';
import { removedButOpen } from '../serve/open-images.ts';
import type { Compression } from './compression.ts';

/** The last image of the same chroot. */
export type FormerImage = { size: number; compression: string };

const MEGABYTE = 1_000_000;

/** The largest ratio of image to data seen with each compressor on Debian chroots, rounded up. */
const RATIO: Record<Compression['type'], number> = { gzip: 0.45, zstd: 0.45, xz: 0.4, lzo: 0.55, lz4: 0.6, none: 1.05 };

/** Bytes that a build may need, by the last image when that had the same compression: a fifth more; else null. */
export function spaceByFormer(compression: Compression, former: FormerImage | null): number | null {
  if (former === null || former.compression !== compressionName(compression)) return null;
  return neededForAnother(former.size);
}

/** Bytes that the next image may need. @param size of the present one */
export function neededForAnother(size: number): number {
  return Math.max(Math.ceil(size * 1.2), 4 * MEGABYTE);
}

/**
 * Bytes that a build may need, by the size of the tree.
 * @param data bytes of all files that go into the image
 */
export function spaceByTree(compression: Compression, data: number): number {
  return Math.max(Math.ceil(data * RATIO[compression.type]), 4 * MEGABYTE);
}

/** As it stands in records: `zstd 6`, `gzip` (its own default level), `none`. */
export function compressionName({ type, level }: Compression): string {
  return level === 0 ? type : `${type} ${level}`;
}

/** True when so many bytes are free in the directory. */
export function hasSpace(directory: string, needed: number): boolean {
  return freeSpace(directory) >= needed;
}

/**
 * Makes sure that there is room for the image before minutes are spent on it.
 * @throws UserError with name, needed and free
 */
export function requireSpace(name: string, directory: string, needed: number): void {
  const free = freeSpace(directory);
  if (free >= needed) return;
  const words = `about ${Math.ceil(needed / MEGABYTE)} MB needed in ${directory}, ${Math.floor(free / MEGABYTE)} MB free`;
  const hint = 'make room there; generations that nobody uses have been removed already';
  throw new UserError(`cannot build ${name}: ${words}${heldWords(directory)} (${hint})`);
}

/** Room that comes by itself. */
function heldWords(directory: string): string {
  const { files, bytes } = removedButOpen(directory);
  if (files === 0) return '';
  const what = files === 1 ? 'a removed image that is' : `${files} removed images that are`;
  return `, ${Math.floor(bytes / MEGABYTE)} MB held by ${what} still in use (restart the clients that run on it)`;
}

function freeSpace(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory);
  return bavail * bsize;
}
