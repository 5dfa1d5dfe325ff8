import { type Cause, isAsked } from './event.ts';
import type { Hold } from './hold.ts';
import { describeMoment } from './moment.ts';
import { describeShortly, isForced } from './settle.ts';

/** What is known of one chroot at the moment of a decision. Times are ISO 8601. */
export type Facts = {
  name: string;
  causes: readonly Cause[];
  /** Digest of the inputs as they are now. */
  inputs: string;
  /**
   * The image that clients get; `inputs` is null and `builtAt` empty when another program made it. `damagedAt`: when it was
   * found to be damaged, null while it is sound.
   */
  current: { id: string; inputs: string | null; builtAt: string; damagedAt: string | null } | null;
  quarantine: readonly { inputs: string; reason: string; at: string }[];
  hold: Hold | null;
};

/** `reason` is for people: it completes "building, since …" and "nothing to build: …". */
export type Decision =
  /** `twin`: a forced build of unchanged inputs, which leaves `.old` alone. */
  | { kind: 'build'; reason: string; twin: 'twin' | 'new' }
  | { kind: 'skip'; state: 'current' | 'quarantined' | 'held'; reason: string };

/**
 * Decides whether an image is due. Only force overrides unchanged inputs, quarantine and hold. That someone asked does
 * not end a hold by itself: `build NAME` releases the chroot first, `build --all` and the flag file don't.
 */
export function plan(facts: Facts): Decision {
  const { name, causes, inputs, current, hold } = facts;
  const unchanged = current !== null && current.inputs === inputs;
  const forced = causes.find(isForced);
  if (forced !== undefined) return { kind: 'build', reason: forcedReason(forced), twin: unchanged ? 'twin' : 'new' };
  if (unchanged && current.damagedAt === null) {
    return { kind: 'skip', state: 'current', reason: `nothing changed since ${built(current)}` };
  }
  // the same image once more is nothing that a hold keeps back
  if (hold !== null && !unchanged) {
    const until = hold.until === undefined ? '' : ` until ${describeMoment(hold.until)}`;
    const since = `on hold since ${describeMoment(hold.since)}${until}: ${hold.reason}`;
    return { kind: 'skip', state: 'held', reason: `${since}; release with ltsp-autoimage release ${name}` };
  }
  const rejected = facts.quarantine.findLast((entry) => entry.inputs === inputs);
  if (rejected !== undefined) {
    const verdict = `these inputs were rejected at ${describeMoment(rejected.at)}: ${rejected.reason}`;
    return {
      kind: 'skip',
      state: 'quarantined',
      reason: `${verdict}; they are built again when they change or with --force`,
    };
  }
  if (unchanged) return { kind: 'build', reason: 'the present image is damaged on the disk', twin: 'twin' };
  return { kind: 'build', reason: changeReason(causes, current), twin: 'new' };
}

function forcedReason({ kind }: Cause): string {
  return kind === 'trigger' ? 'the flag file asked for it with force' : 'it was asked for in any case';
}

function changeReason(causes: readonly Cause[], current: Facts['current']): string {
  if (current === null) return 'there is no image yet';
  if (current.inputs === null) return 'nobody knows what the present image was made of: another program made it';
  const told = causes.findLast(({ kind }) => kind === 'packages' || kind === 'path' || kind === 'config');
  const asked = causes.some(isAsked) ? 'it was asked for, and ' : '';
  return `${asked}${told === undefined ? 'something changed' : describeShortly(told)} since ${built(current)}`;
}

function built({ builtAt }: { builtAt: string }): string {
  return builtAt === '' ? 'the present image was built' : `the image of ${describeMoment(builtAt)} was built`;
}
