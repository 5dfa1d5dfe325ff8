import fs from 'node:fs';
import { hasCode, UserError } from '../errors.ts';
import { linkOver, removeDurably, syncDirectory } from '../system/durable.ts';
import { fault } from '../system/faults.ts';
import { adoptForeignNow } from './foreign.ts';
import { imageFile, imageOf, oldFile, type StorePaths } from './layout.ts';
import { linkError, readLinks } from './links.ts';
import { readRecord, writeRecord } from './records.ts';

/** Ids of the generations that NAME.img and NAME.img.old are, or are to be; null: that name is absent. */
export type Links = { current: string | null; previous: string | null };

/**
 * The one primitive that changes what clients get: makes NAME.img and NAME.img.old the generations named. Each of both
 * names is at every instant what it was or what it is to be; NAME.img is only ever absent when it was or is to be so.
 * An image that another program put at one of the names meanwhile becomes a generation first. May be repeated after a
 * crash, with the same outcome. The names alone tell what is current; `replacedAt` in the records serves the grace time.
 * @param now milliseconds since the epoch
 * @throws UserError when a generation is not there or the names cannot be changed
 */
export function switchTo(paths: StorePaths, name: string, target: Links, now: number): void {
  for (const id of [target.previous, target.current]) {
    if (id === null || fs.existsSync(imageOf(paths, name, id))) continue;
    throw new UserError(`cannot switch ${name} to ${id}: ${imageOf(paths, name, id)} does not exist`);
  }
  const { current, previous } = readLinks(paths, name);
  if (previous.kind === 'foreign') adoptForeignNow(paths, name, 'previous', now);
  const replaced = current.kind === 'foreign' ? currentNow(paths, name, now) : current;
  // Before the switch, as after a crash in between nobody would know the time. Of a current one it means nothing.
  if (replaced.kind === 'generation' && replaced.id !== target.current) {
    setReplaced(paths, name, replaced.id, new Date(now).toISOString());
  }
  try {
    // The former .old goes first: it is the one that clients miss least.
    give(paths, name, 'old', target.previous);
    give(paths, name, 'image', target.current);
    // linkOver leaves out what is right already, which a crash may have kept from being durable.
    fault('images.sync-directory');
    syncDirectory(paths.images);
  } catch (error) {
    throw linkError(`switch ${name}`, paths, error);
  }
  if (target.current !== null) setReplaced(paths, name, target.current, null);
}

/** The foreign image at NAME.img as a generation. It may have become one as NAME.img.old, being the same file. */
function currentNow(paths: StorePaths, name: string, now: number): { kind: 'generation'; id: string } {
  const { current } = readLinks(paths, name);
  if (current.kind === 'generation') return current;
  return { kind: 'generation', id: adoptForeignNow(paths, name, 'current', now).id };
}

function give(paths: StorePaths, name: string, which: 'image' | 'old', id: string | null): void {
  const file = which === 'image' ? imageFile(paths, name) : oldFile(paths, name);
  if (id === null) removeDurably(file, which);
  else linkOver(imageOf(paths, name, id), file, which);
}

/**
 * A record that cannot be read, or not be written on a full disk, is no reason to withhold a good image from clients:
 * only the grace time depends on it.
 */
function setReplaced(paths: StorePaths, name: string, id: string, replacedAt: string | null): void {
  const record = readRecord(paths, name, id);
  if (record === undefined || record.replacedAt === replacedAt) return;
  try {
    writeRecord(paths, { ...record, replacedAt });
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
  }
}
