import * as z from 'zod';

/** A span of time of the week, in which lessons are not to be disturbed. */
export type QuietWindow = {
  /** As it was written, with single blanks. */
  text: string;
  /** On which it begins; 0 is Sunday. */
  days: readonly number[];
  /** Minutes since midnight, `from` included and `to` not; where `to` is not after `from` it ends on the next day. */
  from: number;
  to: number;
};

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
const MIDNIGHT = 24 * 60;

/**
 * Reads "Mon-Fri 08:00-16:00, Sat 09:00-12:00": windows with commas between them, each with a day, a range of days or
 * none, which is every day. "" is none.
 * @returns undefined when it makes no sense
 */
export function quietWindows(text: string): QuietWindow[] | undefined {
  if (text.trim() === '') return [];
  const windows = text.split(',').map((one) => windowOf(one.trim().replaceAll(/\s+/g, ' ')));
  return windows.every((one) => one !== undefined) ? windows : undefined;
}

/** A setting that `quietWindows` reads. */
export function quietHours() {
  const message =
    'are no quiet hours (allowed: "Mon-Fri 08:00-16:00", several with commas between them, or "" for none)';
  return z.string(message).transform((text, context) => {
    const windows = quietWindows(text);
    if (windows !== undefined) return windows;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

function windowOf(text: string): QuietWindow | undefined {
  const match = /^(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d{1,2}:\d\d)-(\d{1,2}:\d\d)$/i.exec(text);
  if (match === null) return undefined;
  const [, first, last, start = '', end = ''] = match;
  const days = first === undefined ? EVERY_DAY : daysFrom(first, last ?? first);
  const [from, to] = [minutes(start), minutes(end)];
  if (days === undefined || from === undefined || to === undefined || from === to || from === MIDNIGHT)
    return undefined;
  return { text, days, from, to };
}

/** Of a week that goes round: Sat-Mon is Saturday, Sunday and Monday. */
function daysFrom(first: string, last: string): number[] | undefined {
  const [from, to] = [DAYS.indexOf(first.toLowerCase()), DAYS.indexOf(last.toLowerCase())];
  if (from < 0 || to < 0) return undefined;
  const count = ((to - from + 7) % 7) + 1;
  return Array.from({ length: count }, (_, index) => (from + index) % 7);
}

function minutes(time: string): number | undefined {
  const [hours = 0, rest = 0] = time.split(':').map(Number);
  const all = hours * 60 + rest;
  return rest < 60 && all <= MIDNIGHT ? all : undefined;
}
