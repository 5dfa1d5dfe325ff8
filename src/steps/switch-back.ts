import type * as z from 'zod';
import { RejectedError, UserError } from '../errors.ts';
import { type ChrootState, chrootState, readChrootState, updateChrootState } from '../store/chroot-state.ts';
import { digestOf } from '../store/digest.ts';
import { imageOf } from '../store/layout.ts';
import { generations, readRecord } from '../store/records.ts';
import type { Links } from '../store/switch.ts';
import { ownLinks } from './publish.ts';
import { note, type Site } from './site.ts';
import { defineStep } from './step.ts';
import { finishUnit, planUnit, switchUnit, undoUnit, unitPlan } from './unit.ts';

/** A revert on its way. `to` is a generation's id, or null for the previous one; `notes` as in a rebuild. */
export type RevertJob = Site & { name: string; to: string | null; signal: AbortSignal; notes: string[] };

const plan = unitPlan.extend({ stateBefore: chrootState, stateAfter: chrootState });

/**
 * Goes back to the previous generation, or to the one asked for, image and boot files; the one left becomes `.old`. The inputs left are in
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
    const source = { file: imageOf(config.paths, name, target), signal: job.signal };
    const onNote = (text: string): void => note(job, 'boot.kept', name, text);
    const unit = await planUnit(job, { name, before, after }, source, onNote);
    const stateBefore = readChrootState(config.paths, name);
    return { ...unit, stateBefore, stateAfter: stateAfterRevert(job, stateBefore, after) };
  },
  act: async (job, { stateAfter, ...unit }) => {
    const { paths } = job.config;
    updateChrootState(paths, unit.name, () => stateAfter);
    await switchUnit(job, unit, { file: imageOf(paths, unit.name, unit.after.current ?? ''), signal: job.signal });
  },
  undo: (site, { stateBefore, ...unit }) => {
    undoUnit(site, unit);
    updateChrootState(site.config.paths, unit.name, () => stateBefore);
  },
  finish: (_, unit) => finishUnit(unit),
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
