import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { mountImage } from '../../../src/system/mounts.ts';
import { listing, rsyncDifferences } from '../../squashfs/same-trees.ts';

/**
 * What rsync does not look at is in the listings: link counts, and which names share an inode.
 * @param directory where mount points may be made
 */
export async function expectSameTrees(one: string, other: string, directory: string): Promise<void> {
  const points = ['one', 'other'].map((name) => path.join(directory, name)) as [string, string];
  for (const point of points) fs.mkdirSync(point, { recursive: true });
  expect(await mountedListing(other, points[0])).toEqual(await mountedListing(one, points[0]));
  expect(rsyncDifferences(one, other, points)).toBe('');
}

async function mountedListing(image: string, point: string): Promise<string[]> {
  const mounted = await mountImage(image, point);
  try {
    return listing(mounted.root);
  } finally {
    await mounted.close();
  }
}
