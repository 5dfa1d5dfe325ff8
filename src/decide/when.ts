/** What counts for when an image that is due is made and published. Times are milliseconds since the epoch. */
export type Timing = {
  /** Until when it is quiet hours; null when it is not. */
  quietUntil: number | null;
  /** What becomes of changes in them. */
  inQuietHours: 'build' | 'wait';
  /** Why it does not wait for their end, in words; null when it does. */
  atOnce: string | null;
  /** Whether there is an image of these inputs that has passed its checks and was not published yet. */
  built: 'built' | 'not built';
};

export type When =
  | { kind: 'now'; what: 'build and publish' | 'publish' | 'build' }
  /** `reason` is for people and has no moment in it. */
  | { kind: 'later'; until: number; reason: string };

/** Decides what is to be done now for an image that is due, and what is to wait until lessons are over. */
export function when({ quietUntil, inQuietHours, atOnce, built }: Timing): When {
  if (quietUntil === null || atOnce !== null) {
    return { kind: 'now', what: built === 'built' ? 'publish' : 'build and publish' };
  }
  if (built === 'built') return { kind: 'later', until: quietUntil, reason: 'built, to be published' };
  if (inQuietHours === 'build') return { kind: 'now', what: 'build' };
  return { kind: 'later', until: quietUntil, reason: 'to be built' };
}

/**
 * The first package of `urgent` that was added, removed or changed, without its architecture.
 * @param before, after package name (`libc6:amd64` where dpkg names the architecture) → version
 * @param urgent names, with `*` for any text and `?` for a character
 */
export function urgentChange(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  urgent: readonly string[],
): string | undefined {
  if (urgent.length === 0) return undefined;
  const patterns = urgent.map(expressionOf);
  const changed = Object.keys({ ...before, ...after }).filter((name) => before[name] !== after[name]);
  return changed
    .map((name) => name.replace(/:.*/, ''))
    .sort()
    .find((name) => patterns.some((pattern) => pattern.test(name)));
}

function expressionOf(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
