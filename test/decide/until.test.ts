import { expect, test } from 'vitest';
import { holdNow } from '../../src/decide/hold.ts';
import { parseUntil } from '../../src/decide/until.ts';

const now = new Date(2026, 10, 27, 12, 30).getTime();
const local = (day: number, hours = 0, minutes = 0, month = 10): number =>
  new Date(2026, month, day, hours, minutes).getTime();

test.each([
  ['16:00', local(27, 16)],
  ['8:05', local(28, 8, 5)],
  ['12:30', local(28, 12, 30)],
  ['2026-12-24', local(24, 0, 0, 11)],
  ['2026-11-27 18:15', local(27, 18, 15)],
  ['2026-11-27T18:15', local(27, 18, 15)],
  ['30m', local(27, 13)],
  ['2h', local(27, 14, 30)],
  ['3d', now + 3 * 86_400_000],
])('%s is a moment', (text, at) => {
  expect(parseUntil(text, now)).toBe(at);
});

test.each([
  '',
  ' ',
  'tomorrow',
  '25:00',
  '12:60',
  '2026-02-30',
  '2026-11-26',
  '2026-13-01',
  '0h',
  '5',
  'T12:00',
  '-1h',
])('"%s" is none that is to come', (text) => {
  expect(parseUntil(text, now)).toBeUndefined();
});

test('a hold ends at its moment; one without stays', () => {
  const hold = { since: '2026-11-27T10:00:00Z', reason: 'exams' };
  const limited = { ...hold, until: '2026-11-27T12:00:00Z' };
  expect(holdNow(hold, Date.parse('2099-01-01'))).toBe(hold);
  expect(holdNow(limited, Date.parse('2026-11-27T11:59:59Z'))).toBe(limited);
  expect(holdNow(limited, Date.parse(limited.until))).toBeNull();
  expect(holdNow(null, 0)).toBeNull();
});
