import { getTasks } from 'node-cron';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { checkCron, type RunningSchedule, startSchedule } from '../../src/watch/schedule.ts';
import { Heard } from './heard.ts';

const at = (iso: string): number => Date.parse(iso);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let schedule: RunningSchedule | undefined;

afterEach(() => {
  schedule?.close();
  expect(getTasks().size).toBe(0);
  vi.useRealTimers();
});

describe('checkCron', () => {
  it.each([
    ['30 3 * * *', ''],
    ['30 3 * * *', 'Europe/Berlin'],
    ['*/10 30 3 * * *', 'UTC'],
    ['0 4 * * mon-fri', ''],
    ['0 0 29 2 *', ''],
    ['@daily', ''],
  ])('finds nothing wrong with %s in %s', (expression, timezone) => {
    expect(checkCron(expression, timezone)).toBeUndefined();
  });

  it.each([
    ['99 3 * * *', '', '99 is no minute'],
    ['30 24 * * 9', '', '24 is no hour; 9 is no day of the week'],
    ['61 30 3 * * *', '', '61 is no second'],
    ['nightly', '', 'expected 5 or 6 fields but got 1'],
    ['* * *', '', 'expected 5 or 6 fields but got 3'],
    ['30 3 * * *\n', '', 'there are characters in it that mean nothing'],
    [' ', '', 'it is empty'],
    ['0 0 30 2 *', '', 'no day ever fits it'],
    ['30 3 * * *', 'Europe/Berlln', 'there is no time zone "Europe/Berlln"'],
  ])('says what is wrong with %j in %j', (expression, timezone, problem) => {
    expect(checkCron(expression, timezone)).toBe(problem);
  });
});

describe('a schedule', () => {
  it('really fires, and not once it is closed', async () => {
    const runs = new Heard<string>();
    const now = (): number => Date.now();
    const options = { timezone: '', lastRun: null, now };
    const first = startSchedule({ ...options, nightly: '* * * * * *', onRun: runs.add });
    await runs.next((when) => when === 'on time');
    await runs.next((when) => when === 'on time', 1);
    first.close();
    const before = runs.all.length;
    const later = new Heard<string>();
    schedule = startSchedule({ ...options, nightly: '* * * * * *', onRun: later.add });
    await later.next(() => true);
    expect(runs.all).toHaveLength(before);
  });

  it('runs never when there is none', () => {
    schedule = startSchedule({ nightly: '', timezone: '', lastRun: 0, now: () => Date.now(), onRun: () => {} });
    expect(schedule.next()).toBeNull();
  });
});

/** A machine whose clock says `iso`; returns the runs with the time at which they came. */
function machineAt(iso: string, options: { lastRun: string | null; nightly?: string; timezone?: string }): string[] {
  vi.useFakeTimers({ now: at(iso) });
  const runs: string[] = [];
  schedule = startSchedule({
    nightly: options.nightly ?? '30 3 * * *',
    timezone: options.timezone ?? 'UTC',
    lastRun: options.lastRun === null ? null : at(options.lastRun),
    now: () => Date.now(),
    onRun: (when) => runs.push(`${new Date().toISOString().slice(0, 16)} ${when}`),
  });
  return runs;
}

/** The clock goes on by so much without that any timer is told: the machine sleeps, or its clock is set. */
function jump(by: number): void {
  vi.setSystemTime(Date.now() + by);
}

describe('at the start', () => {
  it.each([
    ['the first start of all', null, []],
    ['a run this night', '2026-01-10T03:30:01Z', []],
    ['a run missed this night', '2026-01-09T03:30:01Z', ['2026-01-10T12:00 missed']],
    ['ten runs missed', '2025-12-31T03:30:01Z', ['2026-01-10T12:00 missed']],
    ['a last run noted by a clock that was ahead', '2031-01-10T12:00Z', []],
  ])('%s', async (_what, lastRun, expected) => {
    const runs = machineAt('2026-01-10T12:00Z', { lastRun });
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(runs).toEqual(expected);
  });

  it('says when the next run is', () => {
    machineAt('2026-01-10T12:00Z', { lastRun: null, timezone: 'Europe/Berlin' });
    expect(schedule?.next()).toBe(at('2026-01-11T02:30Z'));
  });

  it('closed at once, does not even catch up', async () => {
    const runs = machineAt('2026-01-10T12:00Z', { lastRun: '2026-01-01T12:00Z' });
    schedule?.close();
    await vi.advanceTimersByTimeAsync(48 * HOUR);
    expect(runs).toEqual([]);
  });
});

describe('day after day', () => {
  it('runs once a night', async () => {
    const runs = machineAt('2026-01-10T12:00Z', { lastRun: null });
    await vi.advanceTimersByTimeAsync(3 * 24 * HOUR);
    const nights = ['11', '12', '13'];
    expect(runs).toEqual(nights.map((night) => `2026-01-${night}T03:30 on time`));
  });

  it('goes by local time, once in the night in which an hour comes twice', async () => {
    const berlin = machineAt('2026-10-24T12:00Z', { lastRun: null, nightly: '30 2 * * *', timezone: 'Europe/Berlin' });
    await vi.advanceTimersByTimeAsync(48 * HOUR);
    expect(berlin).toEqual([expect.stringMatching(/^2026-10-25T00:3[01] on time$/), '2026-10-26T01:30 on time']);
    schedule?.close();
    const options = { lastRun: null, nightly: '30 1 * * *', timezone: 'America/New_York' };
    const newYork = machineAt('2026-10-31T12:00Z', options);
    await vi.advanceTimersByTimeAsync(48 * HOUR);
    expect(newYork).toEqual(['2026-11-01T05:30 on time', '2026-11-02T06:30 on time']);
  });

  it('leaves out the night in which that hour does not come', async () => {
    const runs = machineAt('2026-03-28T12:00Z', { lastRun: null, nightly: '30 2 * * *', timezone: 'Europe/Berlin' });
    await vi.advanceTimersByTimeAsync(48 * HOUR);
    expect(runs).toEqual(['2026-03-30T00:30 on time']);
  });
});

describe('a clock that jumps', () => {
  it('over a run catches it up once, and goes on by the new time', async () => {
    const runs = machineAt('2026-01-10T01:00Z', { lastRun: null });
    await vi.advanceTimersByTimeAsync(MINUTE);
    jump(6 * HOUR);
    await vi.advanceTimersByTimeAsync(30 * HOUR);
    const caughtUp = expect.stringMatching(/^2026-01-10T07:0[123] missed$/);
    expect(runs).toEqual([caughtUp, expect.stringMatching(/^2026-01-11T03:3[01] on time$/)]);
  });

  it('from 1970, as without a battery, runs at night and not when the timer of old is due', async () => {
    const runs = machineAt('1970-01-01T00:00Z', { lastRun: '2026-01-09T03:30Z' });
    await vi.advanceTimersByTimeAsync(MINUTE);
    vi.setSystemTime(at('2026-01-09T12:00Z'));
    await vi.advanceTimersByTimeAsync(24 * HOUR);
    expect(runs).toEqual(['2026-01-09T12:01 missed', expect.stringMatching(/^2026-01-10T03:3[01] on time$/)]);
  });

  it('back by a few seconds right after a run does not repeat it', async () => {
    const runs = machineAt('2026-01-10T03:00Z', { lastRun: null });
    await vi.advanceTimersByTimeAsync(30 * MINUTE + 1000);
    jump(-20_000);
    await vi.advanceTimersByTimeAsync(20 * HOUR);
    expect(runs).toEqual(['2026-01-10T03:30 on time']);
  });

  it('back by hours runs when it is night again', async () => {
    const runs = machineAt('2026-01-10T12:00Z', { lastRun: '2026-01-10T03:30Z' });
    await vi.advanceTimersByTimeAsync(MINUTE);
    jump(-12 * HOUR);
    await vi.advanceTimersByTimeAsync(6 * HOUR);
    expect(runs).toEqual([expect.stringMatching(/^2026-01-10T03:3[01] on time$/)]);
  });
});
