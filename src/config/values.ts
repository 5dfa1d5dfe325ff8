import * as z from 'zod';

/**
 * Kinds of values that settings have. The message of each completes "KEY = VALUE …", and says what is allowed.
 */

const UNITS = new Map([
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
]);

/** Milliseconds of a duration such as "5s", "15m", "7d", "500ms"; undefined when it is none. */
export function milliseconds(text: string): number | undefined {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/.exec(text);
  const factor = UNITS.get(match?.[2] ?? '');
  return factor === undefined ? undefined : Number(match?.[1]) * factor;
}

/** A duration in its largest whole unit: 900000 → "15m". */
export function durationText(duration: number): string {
  if (duration === 0) return '0s';
  const [unit, factor] = [...UNITS].find(([, length]) => duration % length === 0) ?? ['ms', 1];
  return `${duration / factor}${unit}`;
}

/** A duration in milliseconds, written as `milliseconds` reads it. */
export function duration({ least, most }: { least: string; most: string }) {
  const message = `is no duration (allowed: "${least}" to "${most}", as a whole number with ms, s, m, h or d)`;
  const low = milliseconds(least) ?? 0;
  const high = milliseconds(most) ?? 0;
  return z.string(message).transform((text, context) => {
    const value = milliseconds(text);
    if (value !== undefined && value >= low && value <= high) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

export function count(least: number, most: number) {
  const message = `cannot be used (allowed: a whole number from ${least} to ${most})`;
  return z.int(message).min(least, message).max(most, message);
}

export function fraction() {
  const message = 'cannot be used (allowed: a number from 0 to 1, such as 0.15)';
  return z.number(message).min(0, message).max(1, message);
}

export function yesOrNo() {
  return z.boolean('cannot be used (allowed: true, false)');
}

export function oneOf<const T extends readonly string[]>(...words: T) {
  return z.enum(words, `cannot be used (allowed: ${words.map((word) => JSON.stringify(word)).join(', ')})`);
}

export function text(allowed: string) {
  return z.string(`cannot be used (allowed: ${allowed})`);
}

export function list<T extends z.ZodType>(element: T) {
  return z.array(element, 'is no list (allowed: values in brackets, such as ["one", "two"])');
}

/** An absolute path; `/` is one. */
export function absolutePath() {
  const message = 'is no path (allowed: an absolute one, which begins with "/")';
  return z.string(message).regex(/^\/[^\0\n]*$/, message);
}

/** An absolute path; '' for none. */
export function absolutePathOrNone() {
  const message = 'is no path (allowed: an absolute one, which begins with "/", or "" for none)';
  return z.string(message).regex(/^(?:\/[^\0\n]*)?$/, message);
}

/** An absolute path other than `/`. */
export function directoryBelowRoot() {
  const message = 'is no directory of its own (allowed: an absolute path other than "/")';
  return z.string(message).regex(/^(?!\/+(?:\.{0,2}\/+)*\.{0,2}$)\/[^\0\n]*$/, message);
}

/** A path relative to a chroot that does not lead out of it. */
export function pathInside() {
  const message = 'is no path inside the chroot (allowed: without leading "/" and without "..", such as "etc/ltsp")';
  return z.string(message).regex(/^(?!\/)(?!(?:[^\n]*\/)?\.\.(?:\/|$))[^\0\n]+$/, message);
}

/** A pattern of mksquashfs -wildcards. */
export function pattern() {
  const message = 'is no pattern (allowed: a path below the chroot, with * ? [a-z] in its parts, such as "var/log/*")';
  return z.string(message).regex(/^(?![\s/]*$)[^\0\n]+$/, message);
}

/** Permission bits of an image file as octal digits in quotes: its owner reads it, nobody else writes it. */
export function fileMode() {
  const message = 'is no mode of an image file (allowed: "0600", "0640", "0644" and the like, in quotes)';
  return z
    .string(message)
    .regex(/^0?[46][04][04]$/, message)
    .transform((digits) => Number.parseInt(digits, 8));
}

/** Name of a group or its number; "auto". */
export function groupName() {
  const message = 'is no group (allowed: "auto", a group name or its number in quotes)';
  return z.string(message).regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/, message);
}

/** One address or several with commas between them; '' for none. */
export function mailAddresses() {
  const message = 'is no mail address (allowed: such as "admin@example.org", several with commas, or "" for none)';
  return z.string(message).regex(/^$|^[^\s@,<>"]+(?:@[^\s@,<>"]+)?(?:, ?[^\s@,<>"]+(?:@[^\s@,<>"]+)?)*$/, message);
}

/** Where HTTP requests go to; '' for nowhere. A secret in it is not part of the message. */
export function webAddress() {
  const message = 'is no web address (allowed: one with http:// or https:// and without a password, or "" for none)';
  return z.string(message).refine((text) => text === '' || isWebAddress(text), message);
}

function isWebAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '';
}

export function timeZone() {
  const message = 'is no time zone (allowed: a name such as "Europe/Berlin", or "" for that of this machine)';
  return z.string(message).refine((name) => name === '' || isTimeZone(name), message);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    // RangeError is its way to say no
    return false;
  }
}
