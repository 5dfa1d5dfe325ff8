import { expect, it } from 'vitest';
import { describeMoment } from '../../src/decide/moment.ts';

it('says a moment in the time zone of the machine', () => {
  expect(describeMoment(new Date(2025, 10, 28, 6, 30).toISOString())).toBe('28 Nov 06:30');
  expect(describeMoment(new Date(2026, 0, 2, 23, 5).toISOString())).toBe('2 Jan 23:05');
});
