import { displayEntry, displayPath } from './display.ts';
import type { Entry } from './entry.ts';

/** One way in which an image is not what its source was. */
export type Difference = {
  /** Relative to the tree's root, one char per byte (latin1). */
  path: string;
  /** In words, with the path. */
  message: string;
};

/**
 * Compares an image with its source: paths, types, modes, owners, sizes, link targets, device numbers, and which files
 * share their content by hard links. Ignored entries may differ in every way and come and go, since they did change while
 * the image was made; times are not compared.
 * @param source the walk of the source
 * @param image the walk of the mounted image, made with the source's ignore patterns
 * @param limit at most so many are returned
 */
export function differencesFromSource(source: readonly Entry[], image: readonly Entry[], limit: number): Difference[] {
  const differences: Difference[] = [];
  const remaining = new Map(image.map((entry) => [entry.path, entry]));
  const sourceLinks = countLinks(source);
  const imageLinks = countLinks(image);
  for (const wanted of source) {
    const found = remaining.get(wanted.path);
    remaining.delete(wanted.path);
    if (wanted.ignored) continue;
    if (differences.length >= limit) return differences;
    const what =
      found === undefined
        ? 'is missing'
        : (whatDiffers(wanted, found) ?? linksDiffer(linksOf(wanted, sourceLinks), linksOf(found, imageLinks)));
    if (what !== undefined) differences.push(differenceOf(wanted, what));
  }
  for (const unexpected of remaining.values()) {
    if (differences.length >= limit) return differences;
    if (!unexpected.ignored) differences.push(differenceOf(unexpected, 'is in the image and was not in the chroot'));
  }
  return differences;
}

function whatDiffers(wanted: Entry, found: Entry): string | undefined {
  if (wanted.type !== found.type) return `is a ${found.type} instead of a ${wanted.type}`;
  if (wanted.mode !== found.mode) return `has mode ${octal(found.mode)} instead of ${octal(wanted.mode)}`;
  if (wanted.uid !== found.uid || wanted.gid !== found.gid) {
    return `belongs to ${found.uid}:${found.gid} instead of ${wanted.uid}:${wanted.gid}`;
  }
  if (wanted.target !== found.target) {
    return `links to ${displayPath(found.target)} instead of ${displayPath(wanted.target)}`;
  }
  if (wanted.size !== found.size) return `has ${found.size} bytes instead of ${wanted.size}`;
  return wanted.rdev === found.rdev ? undefined : `is device ${found.rdev} instead of ${wanted.rdev}`;
}

function linksDiffer(wanted: number, found: number): string | undefined {
  if (wanted === found) return undefined;
  return `shares its content with ${found - 1} other names instead of ${wanted - 1}`;
}

/** How many names of the tree each file has; its own link count knows of names outside as well. */
function countLinks(entries: readonly Entry[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const entry of entries) {
    if (entry.type !== 'file' || entry.nlink < 2 || entry.ignored) continue;
    const key = inodeOf(entry);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function linksOf(entry: Entry, counts: ReadonlyMap<string, number>): number {
  return counts.get(inodeOf(entry)) ?? 1;
}

function inodeOf({ dev, ino }: Entry): string {
  return `${dev} ${ino}`;
}

function differenceOf({ path }: Entry, what: string): Difference {
  return { path, message: `${displayEntry(path)} ${what}` };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}
