import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { hasSpace, neededForAnother } from '../build/space.ts';
import type { Chroot } from '../chroot/chroot.ts';
import { describeMoment } from '../decide/moment.ts';
import { hasCode, messageOf } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { readLinks } from '../store/links.ts';
import { readRecord } from '../store/records.ts';
import { makeDirectory, writeDurably } from '../system/durable.ts';
import type { Activity } from './caretaker.ts';
import { chrootStatus } from './chroot-status.ts';

/** A chroot and what its caretaker does. */
export type Cared = { chroot: Chroot; activity: Activity };

/** Milliseconds after which a person has to know that an image does not come about. */
const DAY = 86_400_000;

const MEGABYTE = 1_000_000;

/** By chroot, since when its image has been due. ISO 8601. */
const waitingSchema = z.record(z.string(), z.string());

/**
 * Tells of what nobody notices because nothing happens: an image that has been due for more than a day, also across
 * restarts, and a disk without room for another one. To be called every few minutes. Never throws.
 */
export function lookForSlowTrouble(site: Site, all: readonly Cared[]): void {
  for (const look of [lookForStuck, lookAtDisk]) {
    try {
      look(site, all);
    } catch (error) {
      site.log.warn('chroot.problem', {}, `cannot tell whether all is well: ${messageOf(error)}`);
    }
  }
}

function lookForStuck(site: Site, all: readonly Cared[]): void {
  const file = path.join(site.config.paths.state, 'waiting.json');
  const before = readWaiting(file);
  const now = new Date(site.now()).toISOString();
  const after: Record<string, string> = {};
  for (const cared of all) {
    const { name } = cared.chroot;
    const due = whetherDue(site, cared);
    const since = before[name] ?? (due.kind === 'due' ? now : undefined);
    if (due.kind === 'not due' || since === undefined) continue;
    after[name] = since;
    if (due.kind !== 'due' || site.now() - Date.parse(since) < DAY) continue;
    const message = `${name}: a new image has been due since ${describeMoment(since)}: ${due.reason}`;
    site.notify({ kind: 'stuck', name, id: null, message, state: since });
  }
  if (JSON.stringify(after) === JSON.stringify(before)) return;
  makeDirectory(path.dirname(file));
  writeDurably(file, `${JSON.stringify(after)}\n`, 0o600);
}

/** While it is looked at or built nobody knows yet. What waits for the end of quiet hours is where it should be. */
function whetherDue(
  site: Site,
  { chroot, activity }: Cared,
): { kind: 'due'; reason: string } | { kind: 'not due' | 'unknown' } {
  switch (activity.kind) {
    case 'waiting':
      return { kind: 'due', reason: activity.reason };
    case 'looking':
    case 'building':
      return { kind: 'unknown' };
    case 'resting':
      return { kind: 'not due' };
    case 'idle': {
      const { state, reason } = chrootStatus(site, chroot, activity);
      return state === 'waiting' ? { kind: 'due', reason } : { kind: 'not due' };
    }
  }
}

function readWaiting(file: string): Readonly<Record<string, string>> {
  try {
    return waitingSchema.safeParse(JSON.parse(fs.readFileSync(file, 'utf8'))).data ?? {};
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT')) return {};
    throw error;
  }
}

/** Well again with a tenth more than what is too little: an image that is a bit larger is no reason to tell again. */
function lookAtDisk(site: Site, all: readonly Cared[]): void {
  const { paths } = site.config;
  const sizes = all.map(({ chroot }) => currentSize(site, chroot.name));
  const needed = neededForAnother(Math.max(0, ...sizes));
  if (!fs.existsSync(paths.images)) return;
  const about = { name: '', id: null, state: paths.images };
  if (!hasSpace(paths.images, needed)) {
    const words = `less than the ${Math.ceil(needed / MEGABYTE)} MB that another image may need are free`;
    const hint = 'make room there, or keep fewer generations';
    site.notify({ ...about, kind: 'disk-low', message: `${paths.images}: ${words} (${hint})` });
  } else if (hasSpace(paths.images, Math.ceil(needed * 1.1))) {
    site.notify({ ...about, kind: 'well-again', message: `${paths.images}: there is room for another image again` });
  }
}

function currentSize({ config: { paths } }: Site, name: string): number {
  const { current } = readLinks(paths, name);
  return current.kind === 'generation' ? (readRecord(paths, name, current.id)?.size ?? 0) : 0;
}
