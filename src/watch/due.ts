/** What a cron expression asks for at a moment. `second` and `minute` are the allowed ones. */
export type DueTimes = {
  second: readonly number[];
  minute: readonly number[];
  matches: (at: Date) => boolean;
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Milliseconds; longer ago than that, a look is due whatever the expression is. */
const LONGEST_LOOK_BACK = 400 * 24 * 60 * MINUTE;

/**
 * The latest minute with a due time after `from`, up to `to` inclusive: that due time (milliseconds since the epoch, as
 * all here), or null. Looks back from `to`, minute by minute: all time zones of today differ from UTC by a multiple of 15
 * minutes, so that most minutes of an hour cannot match.
 */
export function latestDue({ second, minute, matches }: DueTimes, from: number, to: number): number | null {
  const quarters = new Set(minute.map((one) => one % 15));
  const earliest = Math.max(from, to - LONGEST_LOOK_BACK);
  for (let start = Math.floor(to / MINUTE) * MINUTE; start + MINUTE > earliest; start -= MINUTE) {
    if (!quarters.has((start / MINUTE) % 15)) continue;
    const inside = second.map((one) => start + one * SECOND).find((at) => at > from && at <= to);
    if (inside !== undefined && matches(new Date(inside))) return inside;
  }
  return earliest > from ? earliest : null;
}
