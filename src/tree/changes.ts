import { displayEntry, displayPath } from './display.ts';
import { type Entry, hasContent } from './entry.ts';
import type { Manifest } from './manifest.ts';

/** One way in which a source tree is not what it was. */
export type Change = {
  /** Relative to the tree's root, one char per byte (latin1). */
  path: string;
  /** In words, with the path. */
  message: string;
};

/** Nanoseconds by which the kernel's time stamps may lie behind the clock: a tick of the slowest kernel (HZ=100). */
const TICK = 10_000_000n;

/**
 * What happened to a tree between two walks, ignored entries aside.
 *
 * A file whose change time is at or after the start of the first walk counts as changed although both walks saw the
 * same: written twice within one tick of the kernel's clock, it has one time stamp for two contents.
 * @param before the first walk
 * @param after the second walk, made with the same patterns
 * @param until when the second walk began, in nanoseconds since the epoch: a later change time is a wrong clock's
 */
export function changesBetween(before: Manifest, after: readonly Entry[], until: bigint): Change[] {
  const changes: Change[] = [];
  const remaining = new Map(after.map((entry) => [entry.path, entry]));
  const explained = directoriesWithIgnored([...before.entries, ...after]);
  for (const former of before.entries) {
    const now = remaining.get(former.path);
    remaining.delete(former.path);
    if (former.ignored || now?.ignored === true) continue;
    if (now === undefined) {
      changes.push(changeOf(former, 'was removed'));
      continue;
    }
    const what = whatChanged(former, now, explained) ?? whatMayHaveChanged(former, before.started, until, explained);
    if (what !== undefined) changes.push(changeOf(former, what));
  }
  for (const added of remaining.values()) {
    if (!added.ignored) changes.push(changeOf(added, 'was added'));
  }
  return changes;
}

/** Their own times say nothing: names that do not count come and go in them. */
function directoriesWithIgnored(entries: readonly Entry[]): ReadonlySet<string> {
  const ignored = entries.filter((entry) => entry.ignored);
  return new Set(ignored.map(({ path }) => path.slice(0, Math.max(path.lastIndexOf('/'), 0))));
}

function whatChanged(former: Entry, now: Entry, explained: ReadonlySet<string>): string | undefined {
  if (former.type !== now.type) return `was a ${former.type} and became a ${now.type}`;
  if (former.mode !== now.mode) return `got mode ${octal(now.mode)} instead of ${octal(former.mode)}`;
  if (former.uid !== now.uid || former.gid !== now.gid) return `got another owner (${now.uid}:${now.gid})`;
  if (former.target !== now.target) return `became a link to ${displayPath(now.target)}`;
  if (former.rdev !== now.rdev) return 'became another device';
  if (former.type === 'directory') {
    // a name that came and went while the image was made may be in it
    const touched = former.mtime !== now.mtime && !explained.has(former.path);
    return touched ? 'had names added or removed' : undefined;
  }
  if (!hasContent(former)) return undefined;
  if (former.size !== now.size || former.mtime !== now.mtime) return 'was written';
  return former.ctime !== now.ctime ? 'got other attributes or links' : undefined;
}

/** Both walks saw the same, but a builder that read beside the first one may have seen what was before. */
function whatMayHaveChanged(
  entry: Entry,
  started: bigint,
  until: bigint,
  explained: ReadonlySet<string>,
): string | undefined {
  if (entry.ctime < started - TICK || entry.ctime > until) return undefined;
  // of devices, FIFOs and sockets the times change when they are used
  if (!hasContent(entry) && (entry.type !== 'directory' || explained.has(entry.path))) return undefined;
  return 'was changed while it was read';
}

function changeOf({ path }: Entry, what: string): Change {
  return { path, message: `${displayEntry(path)} ${what}` };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
