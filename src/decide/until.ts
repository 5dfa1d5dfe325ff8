const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A moment that a person names, in the machine's time zone: `16:00` (the next one), `2026-12-24`, `2026-12-24 16:00`, or
 * how long from now: `30m`, `2h`, `3d`.
 * @param now milliseconds since the epoch
 * @returns milliseconds since the epoch; undefined when it is none, or not in the future
 */
export function parseUntil(text: string, now: number): number | undefined {
  const at = momentOf(text.trim(), now);
  return at !== undefined && at > now ? at : undefined;
}

function momentOf(text: string, now: number): number | undefined {
  const [, count, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) return now + Number(count) * (UNITS[unit ?? ''] ?? 0);
  const match = /^(?:(\d{4})-(\d\d)-(\d\d)(?:[ T](?=\d)|$))?(?:(\d{1,2}):(\d\d))?$/.exec(text);
  if (match === null || text === '') return undefined;
  const [, year, month, day, hours = '0', minutes = '0'] = match;
  if (Number(hours) > 23 || Number(minutes) > 59) return undefined;
  if (year === undefined) return nextTime(Number(hours), Number(minutes), now);
  const at = new Date(Number(year), Number(month) - 1, Number(day), Number(hours), Number(minutes));
  // a 31st of February would be the 3rd of March
  return at.getMonth() === Number(month) - 1 && at.getDate() === Number(day) ? at.getTime() : undefined;
}

function nextTime(hours: number, minutes: number, now: number): number {
  const at = new Date(now);
  at.setHours(hours, minutes, 0, 0);
  if (at.getTime() <= now) at.setDate(at.getDate() + 1);
  return at.getTime();
}
