import * as z from 'zod';
import { RejectedError, UserError } from '../errors.ts';
import { type ChrootState, chrootState, readChrootState, updateChrootState } from '../store/chroot-state.ts';
import { digestOf } from '../store/digest.ts';
import { imageOf } from '../store/layout.ts';
import { generations, readRecord } from '../store/records.ts';
import { type Links, switchTo } from '../store/switch.ts';
import { ownLinks } from './publish.ts';
import type { Site } from './site.ts';
import { defineStep } from './step.ts';

/** A revert on its way. `to` is a generation's id, or null for the previous one. */
export type RevertJob = Site & { name: string; to: string | null; signal: AbortSignal };

const links = z.object({ current: z.string().nullable(), previous: z.string().nullable() });
const plan = z.object({
  name: z.string(),
  before: links,
  after: links,
  stateBefore: chrootState,
  stateAfter: chrootState,
});

/**
 * Goes back to the previous generation, or to the one asked for; the one left becomes `.old`. The inputs left are in
 * quarantine and the chroot is on hold before clients get another image: a daemon that starts after a crash in between
 * must not build at once what a person rejected.
 */
export const switchBack = defineStep<Site, RevertJob, z.infer<typeof plan>>({
  name: 'switch-back',
  plan,
  prepare: async (job) => {
    const { name, config } = job;
    const before = await ownLinks(job, name);
    const target = job.to ?? before.previous;
    if (target === null) throw new UserError(`cannot revert ${name}: there is no previous image (${name}.img.old)`);
    if (target === before.current) throw new UserError(`cannot revert ${name} to ${target}: it is the current image`);
    await requireSound(job, target);
    // without a current image the previous one moves up, as the original program has it
    const after = { current: target, previous: before.current };
    const stateBefore = readChrootState(config.paths, name);
    return { name, before, after, stateBefore, stateAfter: stateAfterRevert(job, stateBefore, after) };
  },
  act: ({ config, now }, { name, after, stateAfter }) => {
    updateChrootState(config.paths, name, () => stateAfter);
    switchTo(config.paths, name, after, now());
  },
  undo: ({ config, now }, { name, before, stateBefore }) => {
    switchTo(config.paths, name, before, now());
    updateChrootState(config.paths, name, () => stateBefore);
  },
});

/** On hold, the inputs left behind in quarantine, those arrived at out of it. */
function stateAfterRevert({ config, name, now }: RevertJob, state: ChrootState, after: Links): ChrootState {
  const inputsOf = (id: string | null): string | null => {
    return id === null ? null : (readRecord(config.paths, name, id)?.inputs ?? null);
  };
  const [arrived, left] = [inputsOf(after.current), inputsOf(after.previous)];
  const at = new Date(now()).toISOString();
  const quarantine = state.quarantine.filter(({ inputs }) => inputs !== arrived);
  const reason = `${after.previous} was reverted by hand`;
  return {
    ...state,
    hold: { since: at, reason: 'reverted by hand' },
    quarantine: left === null || left === arrived ? quarantine : [...quarantine, { inputs: left, reason, at }],
  };
}

/** Clients must not be sent to an image that has rotted on the disk. */
async function requireSound({ config, name, signal }: RevertJob, id: string): Promise<void> {
  const known = generations(config.paths, name).generations;
  const record = known.find((generation) => generation.id === id);
  if (record === undefined) {
    const ids = known.map((generation) => generation.id).join(', ');
    throw new UserError(`cannot revert ${name} to ${id}: no such generation${ids === '' ? '' : ` (there are ${ids})`}`);
  }
  const { digest } = await digestOf(imageOf(config.paths, name, id), signal);
  if (digest === record.digest) return;
  throw new RejectedError(
    `cannot revert ${name} to ${id}: its image is damaged (its bytes are not those that were checked)`,
  );
}
