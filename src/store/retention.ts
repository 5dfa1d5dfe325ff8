import type { Generation } from './generation.ts';
import type { StorePaths } from './layout.ts';
import { readLinks } from './links.ts';
import { generations, removeGeneration } from './records.ts';
import type { Links } from './switch.ts';

export type Retention = {
  /** How many generations stay, current and previous one included. */
  keep: number;
  /** Milliseconds that a generation stays at least after another took its place: NFS clients may still read it. */
  grace: number;
  /** Milliseconds since the epoch. */
  now: number;
};

/**
 * Which generations may go. Current and previous one stay; the newest others stay as far as `keep` reaches; beyond that,
 * whatever is in use or was replaced within the grace time stays as well, and does not push another out.
 * @returns ids, oldest first
 */
export function superfluous(
  all: readonly Generation[],
  links: Links,
  { keep, grace, now, inUse }: Retention & { inUse: ReadonlySet<string> },
): string[] {
  const linked = new Set([links.current, links.previous].filter((id) => id !== null));
  const others = all.filter(({ id }) => !linked.has(id)).sort((a, b) => (a.id < b.id ? 1 : -1));
  // a damaged one is worth nothing, and stays for those alone who read it now
  const sound = others.filter(({ damagedAt }) => damagedAt === null).slice(Math.max(keep - linked.size, 0));
  return [...sound, ...others.filter(({ damagedAt }) => damagedAt !== null)]
    .sort((a, b) => (a.id < b.id ? 1 : -1))
    .filter(({ id }) => !inUse.has(id))
    .filter((one) => now - lastServed(one) >= grace)
    .map(({ id }) => id)
    .reverse();
}

/**
 * Removes the generations that may go. One whose record cannot be read stays.
 * @param inUse which of these ids clients or programs have open; asked only when one is about to be removed
 * @returns ids of those removed
 */
export function prune(
  paths: StorePaths,
  name: string,
  retention: Retention,
  inUse: (ids: string[]) => ReadonlySet<string>,
): string[] {
  const removed = removable(paths, name, retention, inUse);
  for (const id of removed) removeGeneration(paths, name, id);
  return removed;
}

function removable(
  paths: StorePaths,
  name: string,
  retention: Retention,
  inUse: (ids: string[]) => ReadonlySet<string>,
): string[] {
  const { current, previous } = readLinks(paths, name);
  const idOf = (link: typeof current): string | null => (link.kind === 'generation' ? link.id : null);
  const links = { current: idOf(current), previous: idOf(previous) };
  const all = generations(paths, name).generations;
  const due = superfluous(all, links, { ...retention, inUse: new Set() });
  return due.length === 0 ? [] : superfluous(all, links, { ...retention, inUse: inUse(due) });
}

/**
 * Removes, oldest first, what may go until there is enough room; all of it may be needed.
 * @param hasRoom asked before each removal
 * @returns ids of those removed
 */
export function makeRoom(
  paths: StorePaths,
  name: string,
  retention: Retention,
  inUse: (ids: string[]) => ReadonlySet<string>,
  hasRoom: () => boolean,
): string[] {
  const removed: string[] = [];
  for (const id of removable(paths, name, retention, inUse)) {
    if (hasRoom()) break;
    removeGeneration(paths, name, id);
    removed.push(id);
  }
  return removed;
}

/** One that never was current has been served to nobody since it was built. */
function lastServed({ replacedAt, builtAt }: Generation): number {
  return Date.parse(replacedAt ?? builtAt);
}
