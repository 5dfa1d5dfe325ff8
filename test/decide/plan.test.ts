import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cause } from '../../src/decide/event.ts';
import { type Facts, plan } from '../../src/decide/plan.ts';

const at = (day: number, hour: number): string => new Date(2025, 10, day, hour, 30).toISOString();
const PACKAGES: Cause = { kind: 'packages', path: 'var/lib/dpkg/status' };
const CURRENT = { id: '20251128T053000Z', inputs: 'old', builtAt: at(28, 6), damagedAt: null };
const REJECTED = { inputs: 'new', reason: 'sbin/init is missing', at: at(29, 7) };
const HOLD = { since: at(29, 8), reason: 'reverted by hand' };

function facts(some: Partial<Facts> = {}): Facts {
  return { name: 'amd64', causes: [PACKAGES], inputs: 'new', current: CURRENT, quarantine: [], hold: null, ...some };
}

describe('plan', () => {
  it('builds what changed, and says since when', () => {
    const reason = 'a package changed since the image of 28 Nov 06:30 was built';
    expect(plan(facts())).toEqual({ kind: 'build', twin: 'new', reason });
  });

  it('says that something changed when no event told what', () => {
    const reason = 'something changed since the image of 28 Nov 06:30 was built';
    expect(plan(facts({ causes: [{ kind: 'schedule' }] }))).toMatchObject({ reason });
    const asked = plan(facts({ causes: [{ kind: 'command', force: 'if changed' }] }));
    expect(asked).toMatchObject({ reason: `it was asked for, and ${reason}` });
  });

  it('builds the first image', () => {
    expect(plan(facts({ current: null }))).toEqual({ kind: 'build', twin: 'new', reason: 'there is no image yet' });
  });

  it('builds over an image that another program made', () => {
    const foreign = { id: 'foreign', inputs: null, builtAt: '', damagedAt: null };
    expect(plan(facts({ current: foreign }))).toMatchObject({ kind: 'build', twin: 'new' });
    expect(plan(facts({ current: foreign, hold: HOLD }))).toMatchObject({ kind: 'skip', state: 'held' });
  });

  it('builds the same image once more when it is damaged on the disk, also on hold', () => {
    const damaged = { ...CURRENT, damagedAt: at(29, 5) };
    const decision = { kind: 'build', twin: 'twin', reason: 'the present image is damaged on the disk' };
    for (const hold of [null, HOLD]) expect(plan(facts({ inputs: 'old', current: damaged, hold }))).toEqual(decision);
    // but not what the hold is for, nor what was rejected
    expect(plan(facts({ current: damaged, hold: HOLD }))).toMatchObject({ kind: 'skip', state: 'held' });
    const quarantine = [{ ...REJECTED, inputs: 'old' }];
    expect(plan(facts({ inputs: 'old', current: damaged, quarantine }))).toMatchObject({ state: 'quarantined' });
  });

  it('skips unchanged inputs', () => {
    const reason = 'nothing changed since the image of 28 Nov 06:30 was built';
    expect(plan(facts({ inputs: 'old' }))).toEqual({ kind: 'skip', state: 'current', reason });
  });

  it('skips inputs in quarantine, with the latest verdict', () => {
    const earlier = { ...REJECTED, reason: 'an earlier reason' };
    expect(plan(facts({ quarantine: [earlier, REJECTED, { ...REJECTED, inputs: 'other' }] }))).toEqual({
      kind: 'skip',
      state: 'quarantined',
      reason:
        'these inputs were rejected at 29 Nov 07:30: sbin/init is missing; they are built again when they change or with --force',
    });
  });

  it('skips a chroot on hold, and says how to go on', () => {
    expect(plan(facts({ hold: HOLD }))).toEqual({
      kind: 'skip',
      state: 'held',
      reason: 'on hold since 29 Nov 08:30: reverted by hand; release with ltsp-autoimage release amd64',
    });
    const until = new Date(2025, 11, 24, 8).toISOString();
    expect(plan(facts({ hold: { ...HOLD, until } }))).toMatchObject({
      reason: expect.stringMatching(/^on hold since 29 Nov 08:30 until 24 Dec 08:00: /),
    });
  });

  it('calls an unchanged image current even on hold or in quarantine: there is nothing to publish', () => {
    const quarantine = [{ ...REJECTED, inputs: 'old' }];
    expect(plan(facts({ inputs: 'old', hold: HOLD, quarantine }))).toMatchObject({ kind: 'skip', state: 'current' });
  });

  it('says of a hold before a quarantine, since a change ends only the latter', () => {
    expect(plan(facts({ hold: HOLD, quarantine: [REJECTED] }))).toMatchObject({ state: 'held' });
  });

  it('makes a twin of unchanged inputs when forced, and says who forced it', () => {
    const trigger: Cause = { kind: 'trigger', force: 'force' };
    expect(plan(facts({ inputs: 'old', causes: [PACKAGES, trigger] }))).toEqual({
      kind: 'build',
      twin: 'twin',
      reason: 'the flag file asked for it with force',
    });
    const command: Cause = { kind: 'command', force: 'force' };
    expect(plan(facts({ causes: [command] }))).toEqual({
      kind: 'build',
      twin: 'new',
      reason: 'it was asked for in any case',
    });
  });
});

const force = fc.constantFrom<'force' | 'if changed'>('force', 'if changed');
const cause: fc.Arbitrary<Cause> = fc.oneof(
  fc.record({ kind: fc.constantFrom('packages' as const, 'path' as const, 'config' as const), path: fc.string() }),
  fc.record({ kind: fc.constantFrom('schedule' as const, 'start' as const, 'look' as const, 'again' as const) }),
  fc.record({ kind: fc.constantFrom('trigger' as const, 'command' as const), force }),
);
const inputs = fc.constantFrom('a', 'b', 'c');
const anyFacts: fc.Arbitrary<Facts> = fc.record({
  name: fc.constantFrom('amd64', 'i386'),
  causes: fc.array(cause, { minLength: 1, maxLength: 4 }),
  inputs,
  current: fc.option(
    fc.record({
      id: fc.constant('x'),
      inputs: fc.option(inputs),
      builtAt: fc.constant(at(1, 1)),
      damagedAt: fc.option(fc.constant(at(1, 2))),
    }),
  ),
  quarantine: fc.array(fc.record({ inputs, reason: fc.constant('bad'), at: fc.constant(at(2, 2)) }), { maxLength: 3 }),
  hold: fc.option(fc.constant(HOLD)),
});
const isForced = ({ causes }: Facts): boolean => causes.some((one) => 'force' in one && one.force === 'force');

describe('plan, whatever the facts', () => {
  it('builds when forced, as a twin exactly of unchanged inputs', () => {
    fc.assert(
      fc.property(anyFacts.filter(isForced), (some) => {
        const twin = some.current?.inputs === some.inputs ? 'twin' : 'new';
        expect(plan(some)).toMatchObject({ kind: 'build', twin });
      }),
    );
  });

  it('builds without force exactly what is changed and not held, or damaged, and in neither case rejected', () => {
    const unforced = anyFacts.filter((some) => !isForced(some));
    fc.assert(
      fc.property(unforced, (some) => {
        const changed = some.current?.inputs !== some.inputs;
        const wanted = changed ? some.hold === null : some.current?.damagedAt !== null;
        const due = wanted && !some.quarantine.some((entry) => entry.inputs === some.inputs);
        expect(plan(some).kind).toBe(due ? 'build' : 'skip');
      }),
    );
  });

  it('comes to rest: after its own image is live there is nothing to build, after a rejection neither', () => {
    fc.assert(
      fc.property(anyFacts, (some) => {
        if (plan(some).kind === 'skip') return;
        const causes: Cause[] = [PACKAGES];
        const published = {
          ...some,
          causes,
          current: { id: 'y', inputs: some.inputs, builtAt: at(3, 3), damagedAt: null },
        };
        const rejected = { ...some, causes, quarantine: [{ inputs: some.inputs, reason: 'bad', at: at(3, 3) }] };
        expect(plan(published)).toMatchObject({ kind: 'skip', state: 'current' });
        expect(plan(rejected).kind).toBe('skip');
      }),
    );
  });

  it('gives a reason of one line', () => {
    fc.assert(
      fc.property(anyFacts, (some) => {
        expect(plan(some).reason).toMatch(/^[^\n]{10,}$/);
      }),
    );
  });
});
