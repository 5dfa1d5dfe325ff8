import { type Cause, describeCause, type Event, isUrgent } from './event.ts';

/** Events of one chroot that nobody has looked into yet. Times are milliseconds since the epoch. */
export type Pending = {
  first: number;
  last: number;
  /** At most one of each kind, the latest at the end. */
  causes: readonly Cause[];
};

/** What stands in the way of reading a chroot's packages, in words. */
export type Readiness = {
  /** Programs that hold a lock of dpkg or apt: "apt-get (pid 1234)". */
  holders: readonly string[];
  /** Packages that are not done: "libc6 is half-configured". */
  unfinished: readonly string[];
};

/** Milliseconds: how long it has to be quiet, and after how long it need not be any more. */
export type Limits = { quiet: number; maxWait: number };

export type Settled =
  | { kind: 'settled' }
  /** `until`: when to look again, null when only an event can change it. */
  | { kind: 'waiting'; until: number | null; reason: string };

/** Nothing tells when a lock is let go or a package is done, so that is looked at this often. */
export const LOOK_AGAIN = 2_000;

/** Takes an event in. However many come, what is kept stays small. */
export function note(pending: Pending | undefined, { cause, at }: Event): Pending {
  if (pending === undefined) return { first: at, last: at, causes: [cause] };
  const former = pending.causes.find(({ kind }) => kind === cause.kind);
  const others = pending.causes.filter(({ kind }) => kind !== cause.kind);
  return { first: Math.min(pending.first, at), last: at, causes: [...others, strongest(former, cause)] };
}

/**
 * Whether a chroot may be read now. Locks are always waited for; unfinished packages too, unless a build was forced;
 * quiet neither when someone asked nor once `maxWait` has passed since the first event.
 */
export function settle(pending: Pending, readiness: Readiness, now: number, limits: Limits): Settled {
  const { holders, unfinished } = readiness;
  if (holders.length > 0) {
    return { kind: 'waiting', until: now + LOOK_AGAIN, reason: `waiting for ${listed(holders)}` };
  }
  const quietAt = quietFrom(pending, now, limits);
  if (quietAt > now) return { kind: 'waiting', until: quietAt, reason: quietReason(pending, limits) };
  if (unfinished.length > 0 && !pending.causes.some(isForced)) {
    const reason = `waiting until the packages are configured: ${listed(unfinished)}`;
    return { kind: 'waiting', until: now + LOOK_AGAIN, reason };
  }
  return { kind: 'settled' };
}

/** True for a cause that asks for a build in any case. */
export function isForced(cause: Cause): boolean {
  return (cause.kind === 'trigger' || cause.kind === 'command') && cause.force === 'force';
}

/** A cause in words, without the file that told of it: in a burst that would be another one at each look. */
export function describeShortly(cause: Cause): string {
  return describeCause(cause).replace(/ \([^()]*\)$/, '');
}

/** The same without what asks for a build in any case; undefined when nothing else is pending. */
export function withoutForce(pending: Pending): Pending | undefined {
  const causes = pending.causes.filter((cause) => !isForced(cause));
  return causes.length === 0 ? undefined : { ...pending, causes };
}

/** The moment from which on quiet is not waited for (any more). */
function quietFrom({ first, last, causes }: Pending, now: number, { quiet, maxWait }: Limits): number {
  if (causes.some(isUrgent)) return now;
  // The clock was set back since: counted from such an event, the wait would last until the clock gets there again.
  if (first > now || last > now) return now;
  return Math.min(last + quiet, first + maxWait);
}

function quietReason({ causes }: Pending, { quiet }: Limits): string {
  const latest = causes.at(-1);
  const seconds = `waiting for ${Math.round(quiet / 100) / 10} s of quiet`;
  return latest === undefined ? seconds : `${seconds}: ${describeShortly(latest)}`;
}

function strongest(former: Cause | undefined, cause: Cause): Cause {
  return former !== undefined && isForced(former) ? former : cause;
}

/** The first three, and how many more there are. */
function listed(things: readonly string[]): string {
  const shown = things.slice(0, 3).join(', ');
  return things.length > 3 ? `${shown} and ${things.length - 3} more` : shown;
}
