import fs from 'node:fs';
import { UserError } from '../errors.ts';
import type { Compression } from './compression.ts';

/** The last image of the same chroot: its size, and how much data it was made of. */
export type FormerImage = { size: number; compression: string };

const MEGABYTE = 1_000_000;

/** The largest ratio of image to data seen with each compressor on Debian chroots, rounded up. */
const RATIO: Record<Compression['type'], number> = { gzip: 0.45, zstd: 0.45, xz: 0.4, lzo: 0.55, lz4: 0.6, none: 1.05 };

/**
 * Bytes that a build may need: a fifth more than the last image of the same compression, else by the size of the tree.
 * @param data bytes of all files that go into the image
 */
export function spaceNeeded(data: number, compression: Compression, former: FormerImage | null): number {
  if (former !== null && former.compression === compressionName(compression)) {
    return Math.max(Math.ceil(former.size * 1.2), 4 * MEGABYTE);
  }
  return Math.max(Math.ceil(data * RATIO[compression.type]), 4 * MEGABYTE);
}

/** As it stands in records: `zstd 6`, `gzip` (its own default level), `none`. */
export function compressionName({ type, level }: Compression): string {
  return level === 0 ? type : `${type} ${level}`;
}

/**
 * Makes sure that there is room for the image before minutes are spent on it.
 * @throws UserError with name, needed and free
 */
export function requireSpace(name: string, directory: string, needed: number): void {
  const { bavail, bsize } = fs.statfsSync(directory);
  const free = bavail * bsize;
  if (free >= needed) return;
  const words = `about ${Math.ceil(needed / MEGABYTE)} MB needed in ${directory}, ${Math.floor(free / MEGABYTE)} MB free`;
  throw new UserError(
    `cannot build ${name}: ${words} (make room there; older generations are in ${directory}/.generations/${name})`,
  );
}
