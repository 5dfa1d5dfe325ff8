import fs from 'node:fs';
import { hasCode, UserError } from '../errors.ts';
import { linkOver, removeDurably, writeDurably } from '../system/durable.ts';
import type { Generation } from './generation.ts';
import { candidateOf, imageOf, manifestOf, rejectedFiles, type StorePaths } from './layout.ts';
import { parseRecord } from './records.ts';

/**
 * Keeps a candidate or generation that failed a check, with its manifest and record, for a look: one per chroot, in place
 * of the former one. It gets further names (hard links); its own stay for the undo of the step that made it.
 */
export function setAside(paths: StorePaths, record: Generation): void {
  const { name, id } = record;
  const source = [candidateOf(paths, name, id), imageOf(paths, name, id)].find((file) => fs.existsSync(file));
  if (source === undefined) throw new UserError(`cannot keep the rejected image ${id} of ${name}: it is not there`);
  const rejected = rejectedFiles(paths, name);
  // The record comes last and goes first: where there is one, the files beside it are its own.
  removeDurably(rejected.record, 'aside');
  linkOver(source, rejected.image, 'aside');
  const manifest = manifestOf(paths, name, id);
  if (fs.existsSync(manifest)) linkOver(manifest, rejected.manifest, 'aside');
  else removeDurably(rejected.manifest, 'aside');
  writeDurably(rejected.record, `${JSON.stringify(record, null, 1)}\n`, 0o640, 'aside');
}

/** The image that was set aside last, or null. */
export function rejected(paths: StorePaths, name: string): { image: string; record: Generation } | null {
  const { image, record } = rejectedFiles(paths, name);
  let text: string;
  try {
    text = fs.readFileSync(record, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
  try {
    return { image, record: parseRecord(text) };
  } catch {
    // only somebody else can have written it
    return null;
  }
}
