import { expect, test } from 'vitest';
import { quietWindows } from '../../src/config/quiet-windows.ts';
import { quietUntil } from '../../src/decide/quiet-hours.ts';

/** What `quietUntil` says, in UTC. */
function until(spec: string, now: string, timezone = 'UTC'): string | null {
  const end = quietUntil(Date.parse(now), quietWindows(spec) ?? [], timezone);
  return end === null ? null : new Date(end).toISOString().replace(':00.000Z', 'Z');
}

const SCHOOL = 'Mon-Fri 08:00-16:00';

// 27 November 2026 is a Friday
test.each([
  ['before lessons', SCHOOL, '2026-11-27T07:59:59Z', null],
  ['at their first second', SCHOOL, '2026-11-27T08:00:00Z', '2026-11-27T16:00Z'],
  ['in the middle of them', SCHOOL, '2026-11-27T12:34:56.789Z', '2026-11-27T16:00Z'],
  ['in their last second', SCHOOL, '2026-11-27T15:59:59.999Z', '2026-11-27T16:00Z'],
  ['when they end', SCHOOL, '2026-11-27T16:00:00Z', null],
  ['on a Saturday', SCHOOL, '2026-11-28T12:00:00Z', null],
  ['on no day in particular', '08:00-16:00', '2026-11-28T12:00:00Z', '2026-11-28T16:00Z'],
  ['on one day', 'sat 08:00-16:00', '2026-11-28T12:00:00Z', '2026-11-28T16:00Z'],
  ['on another day', 'Sun 08:00-16:00', '2026-11-28T12:00:00Z', null],
  ['on days around the end of the week', 'Sat-Mon 08:00-09:00', '2026-11-29T08:30:00Z', '2026-11-29T09:00Z'],
  ['late, over midnight', 'Fri 22:00-06:00', '2026-11-27T23:00:00Z', '2026-11-28T06:00Z'],
  ['early, over midnight', 'Fri 22:00-06:00', '2026-11-28T05:59:00Z', '2026-11-28T06:00Z'],
  ['early on the day itself', 'Fri 22:00-06:00', '2026-11-27T05:00:00Z', null],
  ['in a break', 'Fri 08:00-12:00, Fri 12:30-16:00', '2026-11-27T12:10:00Z', null],
  ['before a break', 'Fri 08:00-12:00, Fri 12:30-16:00', '2026-11-27T11:10:00Z', '2026-11-27T12:00Z'],
  ['in windows that meet', 'Fri 08:00-12:00,Fri 12:00-16:00', '2026-11-27T11:10:00Z', '2026-11-27T16:00Z'],
  ['in windows that overlap', 'Fri 08:00-13:00,Fri 12:00-16:00', '2026-11-27T11:10:00Z', '2026-11-27T16:00Z'],
  ['until midnight', 'Fri 08:00-24:00', '2026-11-27T11:10:00Z', '2026-11-28T00:00Z'],
  ['from midnight', 'Fri 0:00-08:00', '2026-11-27T00:00:00Z', '2026-11-27T08:00Z'],
  ['on whole days', 'Mon-Fri 00:00-24:00', '2026-11-25T11:10:00Z', '2026-11-28T00:00Z'],
  ['without any window', '', '2026-11-27T11:10:00Z', null],
])('quiet hours %s (%s at %s) are until %s', (_, spec, now, end) => {
  expect(until(spec, now)).toBe(end);
});

test('windows without a gap are looked at again after a week', () => {
  expect(until('00:00-24:00', '2026-11-27T11:10:00Z')).toBe('2026-12-06T00:00Z');
});

// Berlin: CET (UTC+1) until 29 March 2026, 02:00 → 03:00 CEST (UTC+2); 25 October 2026, 03:00 → 02:00 CET
test.each([
  ['winter', SCHOOL, '2026-11-27T07:00:00Z', '2026-11-27T15:00Z'],
  ['summer', SCHOOL, '2026-06-26T06:00:00Z', '2026-06-26T14:00Z'],
  ['the night the clock goes forward', 'Sat 22:00-06:00', '2026-03-28T22:00:00Z', '2026-03-29T04:00Z'],
  ['the night the clock goes back', 'Sat 22:00-06:00', '2026-10-24T21:00:00Z', '2026-10-25T05:00Z'],
  ['an end in the hour that is skipped', 'Sun 01:00-02:30', '2026-03-29T00:30:00Z', '2026-03-29T01:00Z'],
  ['a beginning in the hour that is skipped', 'Sun 02:30-05:00', '2026-03-29T01:00:00Z', '2026-03-29T03:00Z'],
  ['just before the hour that is skipped', 'Sun 02:30-05:00', '2026-03-29T00:59:00Z', null],
  ['a window within the hour that is skipped', 'Sun 02:10-02:50', '2026-03-29T01:00:00Z', null],
  ['an end in the hour that comes twice', 'Sun 01:00-02:30', '2026-10-24T23:30:00Z', '2026-10-25T00:30Z'],
  ['the second of the two hours', 'Sun 01:00-02:30', '2026-10-25T01:10:00Z', '2026-10-25T01:30Z'],
])('in Berlin, %s: %s at %s is until %s', (_, spec, now, end) => {
  expect(until(spec, now, 'Europe/Berlin')).toBe(end);
});

test('half-hour time zones count by their own clock', () => {
  expect(until('08:00-16:00', '2026-11-27T10:29:00Z', 'Asia/Kolkata')).toBe('2026-11-27T10:30Z');
  expect(until('08:00-16:00', '2026-11-27T10:30:00Z', 'Asia/Kolkata')).toBeNull();
});
