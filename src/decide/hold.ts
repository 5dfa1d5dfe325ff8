/** A person said stop. Times are ISO 8601; without `until` only `release` or `build` ends it. */
export type Hold = { since: string; reason: string; until?: string };

/** The hold as it is at this moment: one whose time is over is none. @param now milliseconds since the epoch */
export function holdNow<T extends Hold>(hold: T | null, now: number): T | null {
  if (hold?.until === undefined) return hold;
  return Date.parse(hold.until) > now ? hold : null;
}
