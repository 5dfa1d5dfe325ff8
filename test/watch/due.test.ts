import fc from 'fast-check';
import { createTask, parse } from 'node-cron';
import { expect, it } from 'vitest';
import { latestDue } from '../../src/watch/due.ts';

const HOUR = 3_600_000;

function times(expression: string, timezone: string): Parameters<typeof latestDue>[0] {
  const task = createTask(expression, () => {}, { timezone });
  return { ...parse(expression), matches: (at) => task.match(at) };
}

const at = (iso: string): number => Date.parse(iso);

it.each([
  ['nothing between two nights', '30 3 * * *', 'UTC', '2026-01-10T04:00Z', '2026-01-11T03:29:59Z', false],
  ['the very second', '30 3 * * *', 'UTC', '2026-01-10T04:00Z', '2026-01-11T03:30:00Z', true],
  ['not the second of the last run itself', '30 3 * * *', 'UTC', '2026-01-11T03:30:00Z', '2026-01-11T12:00Z', false],
  ['in a zone east of here', '30 3 * * *', 'Europe/Berlin', '2026-07-10T01:00Z', '2026-07-10T02:00Z', true],
  ['by UTC that would have been later', '30 3 * * *', 'Europe/Berlin', '2026-07-10T02:00Z', '2026-07-10T04:00Z', false],
  ['in a zone of 45 minutes', '30 3 * * *', 'Asia/Kathmandu', '2026-01-10T21:44Z', '2026-01-10T21:46Z', true],
  ['in a zone of 30 minutes', '5 0 * * *', 'Asia/Kolkata', '2026-01-10T18:34Z', '2026-01-10T18:36Z', true],
  [
    'a time that summer time leaves out',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-29T00:00Z',
    '2026-03-29T12:00Z',
    false,
  ],
  ['the night after it', '30 2 * * *', 'Europe/Berlin', '2026-03-29T12:00Z', '2026-03-30T00:31Z', true],
  ['once a month, weeks ago', '0 4 1 * *', 'UTC', '2026-01-30T00:00Z', '2026-02-27T00:00Z', true],
  ['once a week, not yet', '0 4 * * 0', 'UTC', '2026-01-04T05:00Z', '2026-01-10T00:00Z', false],
  ['within the last minute', '15 30 3 * * *', 'UTC', '2026-01-10T03:30:14Z', '2026-01-10T03:30:15Z', true],
  ['later in that minute', '15 30 3 * * *', 'UTC', '2026-01-10T03:30:00Z', '2026-01-10T03:30:14Z', false],
  ['longer than a year', '0 0 29 2 *', 'UTC', '2024-03-01T00:00Z', '2026-01-10T00:00Z', true],
  ['never from now to before', '* * * * *', 'UTC', '2026-01-10T04:00Z', '2026-01-10T03:00Z', false],
])('%s: %s in %s from %s to %s → %s', (_what, expression, timezone, from, to, due) => {
  expect(latestDue(times(expression, timezone), at(from), at(to)) !== null).toBe(due);
});

it('finds what a look at every second finds', () => {
  const expressions = fc.constantFrom('7 * * * *', '*/20 30 3 * * *', '0,50 3-5 * * *', '*/10 * * * * *', '30 3 * * 1');
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns');
  const start = fc.integer({ min: at('2026-03-28T00:00Z'), max: at('2026-04-06T00:00Z') });
  const length = fc.integer({ min: 0, max: HOUR / 2 });
  fc.assert(
    fc.property(expressions, zones, start, length, (expression, timezone, from, span) => {
      const due = times(expression, timezone);
      let expected = false;
      const first = Math.floor(from / 1000) * 1000 + 1000;
      for (let second = first; second <= from + span && !expected; second += 1000) {
        expected = due.matches(new Date(second));
      }
      expect(latestDue(due, from, from + span) !== null).toBe(expected);
    }),
    { numRuns: 60 },
  );
});

it('is the latest of several', () => {
  const found = latestDue(times('30 3 * * *', 'UTC'), at('2026-01-01T00:00Z'), at('2026-01-10T12:00Z'));
  expect(found).toBe(at('2026-01-10T03:30Z'));
});
