import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { hasCode } from '../../errors.ts';
import { writeDurably } from '../../system/durable.ts';
import { statsOf } from './directory-tree.ts';
import { MANIFEST } from './layout.ts';

const manifest = z.object({
  /** Of the plan that made the directory. */
  id: z.string(),
  layout: z.enum(['ltsp5', 'ltsp19', 'both']),
  /** Files and links that are from the image, relative to the directory. All others are the admin's own. */
  paths: z.array(z.string()),
  /** Links that were made only if the admin had no such file; ours as long as they lead where we led them. */
  yielding: z.array(z.object({ path: z.string(), target: z.string() })),
  /** What is left of the directory's former state, where that could not go at once: neither ours nor the admin's. */
  going: z.array(z.string()).default([]),
});

/** What a TFTP boot directory has from us. It lies in the directory itself and so changes place with it. */
export type Manifest = z.infer<typeof manifest>;

/** Null where there is none, or none that can be read: then nothing counts as ours. */
export function readManifest(directory: string): Manifest | null {
  try {
    const parsed = manifest.safeParse(JSON.parse(fs.readFileSync(path.join(directory, MANIFEST), 'utf8')));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT', 'ENOTDIR', 'EISDIR')) return null;
    throw error;
  }
}

export function writeManifest(directory: string, value: Manifest): void {
  writeDurably(path.join(directory, MANIFEST), `${JSON.stringify(value)}\n`, 0o600, 'boot-manifest');
}

/** Relative paths of what is ours in a directory. */
export function oursIn(directory: string): Set<string> {
  const found = readManifest(directory);
  const yielding =
    found?.yielding.filter(({ path: link, target }) => leadsTo(path.join(directory, link), target)) ?? [];
  return new Set([...(found?.paths ?? []), ...yielding.map((link) => link.path)]);
}

function leadsTo(file: string, target: string): boolean {
  const stats = statsOf(file);
  return stats?.isSymbolicLink() === true && fs.readlinkSync(file) === target;
}
