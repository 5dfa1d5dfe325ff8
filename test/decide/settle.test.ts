import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cause } from '../../src/decide/event.ts';
import { LOOK_AGAIN, note, type Pending, type Readiness, type Settled, settle } from '../../src/decide/settle.ts';

const LIMITS = { quiet: 3_000, maxWait: 60_000 };
const FREE: Readiness = { holders: [], unfinished: [] };
const PACKAGES: Cause = { kind: 'packages', path: 'var/lib/dpkg/status' };
const T = 1_700_000_000_000;

const event = (cause: Cause, at: number): { name: string; cause: Cause; at: number } => ({ name: 'amd64', cause, at });
const pending = (first: number, last: number, ...causes: Cause[]): Pending => ({ first, last, causes });

const force = fc.constantFrom<'force' | 'if changed'>('force', 'if changed');
const byItself = fc.oneof(
  fc.record({ kind: fc.constantFrom('packages' as const, 'path' as const, 'config' as const), path: fc.string() }),
  fc.record({ kind: fc.constantFrom('schedule' as const, 'start' as const, 'appeared' as const, 'look' as const) }),
);
const asked = fc.record({ kind: fc.constantFrom('trigger' as const, 'command' as const), force });
const anyCause: fc.Arbitrary<Cause> = fc.oneof(byItself, asked);
const anyPending = fc
  .record({
    first: fc.integer({ min: T - 100_000, max: T + 100_000 }),
    length: fc.nat(100_000),
    causes: fc.array(anyCause, { minLength: 1, maxLength: 4 }),
  })
  .map(({ first, length, causes }): Pending => ({ first, last: first + length, causes }));
const limits = fc.record({ quiet: fc.nat(10_000), maxWait: fc.nat(100_000) });
const words = fc.array(fc.constantFrom('apt-get (pid 1234)', 'dpkg (pid 77)'), { minLength: 1, maxLength: 5 });

describe('settle', () => {
  it('waits for quiet since the last event, and says what it was', () => {
    const after = pending(T, T + 1_000, PACKAGES);
    const reason = 'waiting for 3 s of quiet: a package changed';
    expect(settle(after, FREE, T + 1_500, LIMITS)).toEqual({ kind: 'waiting', until: T + 4_000, reason });
    expect(settle(after, FREE, T + 3_999, LIMITS)).toEqual({ kind: 'waiting', until: T + 4_000, reason });
    expect(settle(after, FREE, T + 4_000, LIMITS)).toEqual({ kind: 'settled' });
  });

  it('does not wait for quiet when somebody asked', () => {
    for (const kind of ['trigger', 'command'] as const) {
      const urgent = pending(T, T, PACKAGES, { kind, force: 'if changed' });
      expect(settle(urgent, FREE, T, LIMITS)).toEqual({ kind: 'settled' });
    }
  });

  it('does not wait for quiet any more once the maximum wait has passed', () => {
    const busy = pending(T, T + 59_000, PACKAGES);
    expect(settle(busy, FREE, T + 59_500, LIMITS)).toMatchObject({ kind: 'waiting', until: T + 60_000 });
    expect(settle(busy, FREE, T + 60_000, LIMITS)).toEqual({ kind: 'settled' });
  });

  it('names who holds the locks', () => {
    const locked = { holders: ['apt-get (pid 1234)', 'dpkg (pid 1240)'], unfinished: [] };
    const reason = 'waiting for apt-get (pid 1234), dpkg (pid 1240)';
    expect(settle(pending(T, T, PACKAGES), locked, T + 9_000, LIMITS)).toEqual({
      kind: 'waiting',
      until: T + 9_000 + LOOK_AGAIN,
      reason,
    });
  });

  it('names the packages that are not done, the first three', () => {
    const unfinished = ['libc6 is half-configured', 'bash is unpacked', 'dash is unpacked', 'sed is unpacked'];
    const reason =
      'waiting until the packages are configured: libc6 is half-configured, bash is unpacked, dash is unpacked and 1 more';
    expect(settle(pending(T, T, PACKAGES), { holders: [], unfinished }, T + 9_000, LIMITS)).toEqual({
      kind: 'waiting',
      until: T + 9_000 + LOOK_AGAIN,
      reason,
    });
  });

  it('is never settled while a lock is held, even when forced and late', () => {
    fc.assert(
      fc.property(anyPending, words, limits, (some, holders, limit) => {
        expect(settle(some, { holders, unfinished: [] }, T, limit).kind).toBe('waiting');
      }),
    );
  });

  it('is settled with unfinished packages exactly when forced', () => {
    fc.assert(
      fc.property(anyPending, words, (some, unfinished) => {
        const forced = some.causes.some((cause) => 'force' in cause && cause.force === 'force');
        const late = { ...some, first: T - 90_000, last: T - 90_000 };
        expect(settle(late, { holders: [], unfinished }, T, LIMITS).kind).toBe(forced ? 'settled' : 'waiting');
      }),
    );
  });

  it('never waits for quiet longer than the quiet period or past the maximum wait, nor after it says', () => {
    fc.assert(
      fc.property(anyPending, limits, (some, limit) => {
        const now = settle(some, FREE, T, limit);
        if (now.kind === 'settled') return;
        expect(now.until).toBeGreaterThan(T);
        expect(now.until).toBeLessThanOrEqual(T + limit.quiet);
        expect(now.until).toBeLessThanOrEqual(some.first + limit.maxWait);
        expect(settle(some, FREE, now.until ?? T, limit)).toEqual({ kind: 'settled' });
      }),
    );
  });

  it('does not wait for a clock that was set back to come back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 9 }), byItself, (back, cause) => {
        const before = note(undefined, event(cause, T + back));
        expect(settle(before, FREE, T, LIMITS)).toEqual({ kind: 'settled' });
        // but an event after the change counts as always
        const after = note(before, event(cause, T));
        expect(settle(after, FREE, T, LIMITS)).toMatchObject({ kind: 'waiting', until: T + LIMITS.quiet });
      }),
    );
  });

  it('makes one settled moment of a thousand events, a quiet period after the last', () => {
    const gaps = fc.array(fc.nat(59), { minLength: 999, maxLength: 999 });
    fc.assert(
      fc.property(gaps, fc.infiniteStream(byItself), (some, causes) => {
        let at = T;
        const times = [T, ...some.map((gap) => (at += gap))];
        const settled = replay(times.map((time) => event(causes.next().value, time)));
        expect(settled).toEqual([at + LIMITS.quiet]);
      }),
      { numRuns: 20 },
    );
  });
});

describe('note', () => {
  it('keeps the times of the first and the last event', () => {
    const some = [T, T + 5, T + 70].reduce<Pending | undefined>((all, at) => note(all, event(PACKAGES, at)), undefined);
    expect(some).toEqual({ first: T, last: T + 70, causes: [PACKAGES] });
  });

  it('keeps one cause of each kind, the latest at the end, and the strongest force', () => {
    const causes: Cause[] = [
      { kind: 'trigger', force: 'force' },
      { kind: 'path', path: 'etc/a' },
      { kind: 'start' },
      { kind: 'path', path: 'etc/b' },
      { kind: 'trigger', force: 'if changed' },
    ];
    const noted = causes.reduce<Pending | undefined>((all, cause) => note(all, event(cause, T)), undefined);
    expect(noted?.causes).toEqual([
      { kind: 'start' },
      { kind: 'path', path: 'etc/b' },
      { kind: 'trigger', force: 'force' },
    ]);
  });

  it('never forgets that somebody asked, or forced, however many events follow', () => {
    fc.assert(
      fc.property(fc.array(anyCause, { minLength: 1, maxLength: 50 }), (causes) => {
        const noted = causes.reduce<Pending | undefined>((all, cause) => note(all, event(cause, T)), undefined);
        const kinds = new Set(causes.map(({ kind }) => kind));
        expect(new Set(noted?.causes.map(({ kind }) => kind))).toEqual(kinds);
        expect(noted?.causes).toHaveLength(kinds.size);
        const forced = (all: readonly Cause[] = []): boolean =>
          all.some((cause) => 'force' in cause && cause.force === 'force');
        expect(forced(noted?.causes)).toBe(forced(causes));
      }),
    );
  });
});

/** When the chroot is settled, for one who looks when the first event comes and then whenever `settle` says. */
function replay(events: readonly { name: string; cause: Cause; at: number }[]): number[] {
  const settled: number[] = [];
  let some: Pending | undefined;
  let timer = Number.POSITIVE_INFINITY;
  const look = (now: number): void => {
    if (some === undefined) return;
    const found: Settled = settle(some, FREE, now, LIMITS);
    timer = found.kind === 'waiting' ? (found.until ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    if (found.kind === 'waiting') return;
    settled.push(now);
    some = undefined;
  };
  for (const one of events) {
    while (timer <= one.at) look(timer);
    const first = some === undefined;
    some = note(some, one);
    if (first) look(one.at);
  }
  while (timer < Number.POSITIVE_INFINITY) look(timer);
  return settled;
}
