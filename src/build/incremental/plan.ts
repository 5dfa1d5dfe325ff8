import type { Entry } from '../../tree/entry.ts';
import { entryOfLine } from '../../tree/manifest.ts';

/** The tree that the former image was made of: when its walk began, and the lines of its manifest. */
export type FormerTree = { started: bigint; lines: readonly string[] };

/** The tree as it is now, with the lines that its manifest has. */
export type NewTree = { entries: readonly Entry[]; lines: readonly string[] };

/** An entry of which nothing changed: its index now, its index then, and the path that it had then. */
export type Kept = { index: number; from: number; path: string };

export type Plan = {
  /** In the order of the former walk. */
  kept: readonly Kept[];
  /** Indexes of all other entries, in order: new ones, and those that may have changed. */
  changed: readonly number[];
  /** Paths that are no more. */
  gone: readonly string[];
};

/** Nanoseconds by which the kernel's time stamps may lie behind the clock: a tick of the slowest kernel (HZ=100). */
const TICK = 10_000_000n;

/**
 * Compares the tree of the former image with what it is now.
 *
 * An entry is kept when type, size, times and inode number are what they were and its change time lies before the
 * former walk: each write, and each change of attributes, links or names of the entry itself, sets the change time, which
 * no program can choose. An entry changed while (or a tick before) it was read may have one change time for two
 * contents, so it is read again.
 *
 * At its old path an entry may be on another device: those numbers are other ones after a restart, and for each overlay.
 * Elsewhere (its directory was renamed) it must be on the same one. Both walks are in walk order, so that most entries
 * are compared by their lines alone.
 * @throws UserError when a line of the former manifest is none
 */
export function plan(former: FormerTree, now: NewTree): Plan {
  const settled = former.started - TICK;
  const kept: Kept[] = [];
  const changed: number[] = [];
  const gone: string[] = [];
  /** What is not where it was, and what was not there before. */
  const left: { from: number; entry: Entry }[] = [];
  const arrived: number[] = [];

  let from = 0;
  let index = 0;
  while (from < former.lines.length || index < now.entries.length) {
    const line = former.lines[from];
    const entry = now.entries[index];
    if (line !== undefined && entry !== undefined && line === now.lines[index]) {
      if (entry.ctime < settled) kept.push({ index, from, path: entry.path });
      else changed.push(index);
      from++;
      index++;
      continue;
    }
    const before = line === undefined ? undefined : entryOfLine(line);
    const order = before === undefined ? 1 : entry === undefined ? -1 : walkOrder(before.path, entry.path);
    if (order === 0 && before !== undefined && entry !== undefined) {
      if (isSame(before, entry) && entry.ctime < settled) kept.push({ index, from, path: entry.path });
      else if (before.ino === entry.ino) changed.push(index);
      else {
        left.push({ from, entry: before });
        arrived.push(index);
      }
    } else if (order < 0 && before !== undefined) {
      gone.push(before.path);
      left.push({ from, entry: before });
    } else arrived.push(index);
    if (order <= 0) from++;
    if (order >= 0) index++;
  }

  const moved = findMoved(left, arrived, now.entries, settled);
  const isMoved = new Set(moved.map((one) => one.index));
  for (const one of arrived) if (!isMoved.has(one)) changed.push(one);
  changed.sort((one, other) => one - other);
  if (moved.length > 0) {
    kept.push(...moved);
    kept.sort((one, other) => one.from - other.from);
  }
  return { kept, changed, gone };
}

function findMoved(
  left: readonly { from: number; entry: Entry }[],
  arrived: readonly number[],
  entries: readonly Entry[],
  settled: bigint,
): Kept[] {
  if (left.length === 0 || arrived.length === 0) return [];
  const byInode = new Map(left.map((one) => [inodeOf(one.entry), one]));
  return arrived.flatMap((index) => {
    const entry = entries[index];
    const one = entry === undefined ? undefined : byInode.get(inodeOf(entry));
    if (entry === undefined || one === undefined || !isSame(one.entry, entry) || entry.ctime >= settled) return [];
    return [{ index, from: one.from, path: one.entry.path }];
  });
}

/** Mode, owner and link count need no look: whoever changes them changes the change time. */
function isSame(before: Entry, now: Entry): boolean {
  return (
    before.type === now.type &&
    before.ino === now.ino &&
    before.ctime === now.ctime &&
    before.mtime === now.mtime &&
    before.size === now.size
  );
}

function inodeOf({ dev, ino }: Entry): string {
  return `${dev} ${ino}`;
}

/** In which order a walk has two paths: siblings by bytes, and what a directory holds right behind it. */
export function walkOrder(one: string, other: string): number {
  const shorter = Math.min(one.length, other.length);
  let at = 0;
  while (at < shorter && one.charCodeAt(at) === other.charCodeAt(at)) at++;
  return rank(one, at) - rank(other, at);
}

const SLASH = 0x2f;

/** The end of a path comes before a slash, a slash before all that a name may have. */
function rank(path: string, at: number): number {
  if (at === path.length) return -1;
  const code = path.charCodeAt(at);
  return code === SLASH ? 0 : code;
}
