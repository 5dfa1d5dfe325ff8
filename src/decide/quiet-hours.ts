import type { QuietWindow } from '../config/quiet-windows.ts';

const MINUTE = 60_000;
const DAY = 24 * 60;
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** Windows that leave no gap have no end; after so long one looks again. */
const HORIZON = 8 * DAY * MINUTE;

/**
 * Whether it is quiet hours by the clock on the wall, and until when: windows that meet count as one. A window of an hour
 * that the wall clock skips or repeats, as daylight saving time has it, is skipped or repeated with it.
 * @param now milliseconds since the epoch
 * @param timezone IANA name, or '' for that of the machine
 * @returns the first whole minute that is outside of them, in milliseconds since the epoch; null when it is not quiet now
 */
export function quietUntil(now: number, windows: readonly QuietWindow[], timezone: string): number | null {
  if (windows.length === 0) return null;
  const wall = wallClock(timezone);
  const isQuiet = (at: number): boolean => isWithin(windows, wall(at));
  let quiet = now - (now % MINUTE);
  if (!isQuiet(quiet)) return null;
  while (quiet < now + HORIZON) {
    const next = quiet + minutesToNextBound(windows, wall(quiet).minute) * MINUTE;
    if (!isQuiet(next)) return firstAfter(quiet, next, isQuiet);
    quiet = next;
  }
  return quiet;
}

/** The time of the day with the day of the week, where the clock hangs. */
type Wall = { weekday: number; minute: number };

function wallClock(timezone: string): (at: number) => Wall {
  const format = new Intl.DateTimeFormat('en-US', {
    ...(timezone === '' ? {} : { timeZone: timezone }),
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (at) => {
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const minute = Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
    return { weekday: WEEKDAYS.indexOf(parts.get('weekday') ?? ''), minute };
  };
}

function isWithin(windows: readonly QuietWindow[], { weekday, minute }: Wall): boolean {
  const dayBefore = (weekday + 6) % 7;
  return windows.some(({ days, from, to }) => {
    if (from < to) return days.includes(weekday) && from <= minute && minute < to;
    return (days.includes(weekday) && minute >= from) || (days.includes(dayBefore) && minute < to);
  });
}

/** Minutes until any window begins or ends, as if no clock was ever put forward or back. */
function minutesToNextBound(windows: readonly QuietWindow[], minute: number): number {
  const bounds = windows.flatMap(({ from, to }) => [from, to]);
  return Math.min(...bounds.map((bound) => ((bound - minute - 1 + 2 * DAY) % DAY) + 1));
}

/** The first minute that is not quiet: where the clock was put forward in between it came earlier than reckoned. */
function firstAfter(quiet: number, loud: number, isQuiet: (at: number) => boolean): number {
  let [low, high] = [quiet, loud];
  while (high - low > MINUTE) {
    const middle = low + Math.floor((high - low) / (2 * MINUTE)) * MINUTE;
    if (isQuiet(middle)) low = middle;
    else high = middle;
  }
  return high;
}
