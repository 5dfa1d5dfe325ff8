import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { syncDirectory } from '../../system/durable.ts';
import { statsOf } from './directory-tree.ts';
import type { BootPlace } from './place.ts';
import { removePassing, replaceLink } from './replace.ts';

/** A link at the top of a TFTP directory, where Macs look for yaboot. `before` is what it led to, null when absent. */
export const topLink = z.object({ path: z.string(), target: z.string(), before: z.string().nullable() });
export type TopLink = z.infer<typeof topLink>;

/** The links to be made; one that is right already is left out, and so is a name that the admin has a file at. */
export function topLinks({ tftp, inside }: BootPlace, names: readonly string[]): TopLink[] {
  return names.flatMap((name) => {
    const file = path.join(tftp, name);
    const stats = statsOf(file);
    if (stats !== undefined && !stats.isSymbolicLink()) return [];
    const before = stats === undefined ? null : fs.readlinkSync(file);
    const target = path.join(inside, name);
    return before === target ? [] : [{ path: file, target, before }];
  });
}

export function makeTopLinks(links: readonly TopLink[]): void {
  for (const link of links) {
    replaceLink(link.path, link.target);
    syncDirectory(path.dirname(link.path));
  }
}

/** A link that someone has changed since stays as it is. */
export function undoTopLinks(links: readonly TopLink[]): void {
  for (const link of links) {
    removePassing(path.dirname(link.path));
    if (statsOf(link.path)?.isSymbolicLink() !== true) continue;
    if (fs.readlinkSync(link.path) !== link.target) continue;
    if (link.before === null) fs.unlinkSync(link.path);
    else replaceLink(link.path, link.before);
    syncDirectory(path.dirname(link.path));
  }
}
