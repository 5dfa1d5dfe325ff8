import type * as z from 'zod';
import { RejectedError, UserError } from '../errors.ts';
import { type ChrootState, chrootState, readChrootState, updateChrootState } from '../store/chroot-state.ts';
import { digestOf } from '../store/digest.ts';
import { imageOf } from '../store/layout.ts';
import { generations, readRecord } from '../store/records.ts';
import type { Links } from '../store/switch.ts';
import { isDamaged, ownLinks } from './publish.ts';
import { note, type Site } from './site.ts';
import { defineStep } from './step.ts';
import { finishUnit, planUnit, switchUnit, undoUnit, unitPlan } from './unit.ts';

/**
 * Why a chroot goes back, and where to. A person asked for it: `to` is a generation's id, or null for the previous one. Or
 * the current image is damaged, and the newest one that is sound takes its place.
 */
export type RevertWish = { because: 'asked'; to: string | null } | { because: 'damaged' };

/** A revert on its way; `notes` as in a rebuild. */
export type RevertJob = Site & { name: string; signal: AbortSignal; notes: string[] } & RevertWish;

const plan = unitPlan.extend({ stateBefore: chrootState, stateAfter: chrootState });

/**
 * Goes back to another generation, image and boot files. Where a person asked for it the one left becomes `.old`, its
 * inputs are in quarantine and the chroot is on hold before clients get another image: a daemon that starts after a crash
 * in between must not build at once what a person rejected.
 */
export const switchBack = defineStep<Site, RevertJob, z.infer<typeof plan>>({
  name: 'switch-back',
  plan,
  prepare: async (job) => {
    const { name, config } = job;
    const before = await ownLinks(job, name);
    const target = job.because === 'damaged' ? await newestSound(job, before) : await asked(job, job.to, before);
    const after = { current: target, previous: nextPrevious(job, before, target) };
    const source = { file: imageOf(config.paths, name, target), signal: job.signal };
    const onNote = (text: string): void => note(job, 'boot.kept', name, text);
    const unit = await planUnit(job, { name, before, after }, source, onNote);
    const stateBefore = readChrootState(config.paths, name);
    const stateAfter = job.because === 'asked' ? stateAfterRevert(job, stateBefore, before, after) : stateBefore;
    return { ...unit, stateBefore, stateAfter };
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

async function asked(job: RevertJob, to: string | null, before: Links): Promise<string> {
  const { name } = job;
  const target = to ?? before.previous;
  if (target === null) throw new UserError(`cannot revert ${name}: there is no previous image (${name}.img.old)`);
  if (target === before.current) throw new UserError(`cannot revert ${name} to ${target}: it is the current image`);
  await requireSound(job, target);
  return target;
}

/** The youngest generation beside the current one whose image has the bytes that were checked. */
async function newestSound({ config, name, signal }: RevertJob, { current }: Links): Promise<string> {
  const others = generations(config.paths, name).generations.filter(({ id }) => id !== current);
  for (const { id, digest } of others.toReversed()) {
    if ((await digestOf(imageOf(config.paths, name, id), signal)).digest === digest) return id;
  }
  throw new UserError(`cannot replace the damaged image of ${name}: there is no older one that is sound`);
}

/**
 * The image left becomes `.old`; without a current image the previous one moves up, as the original program has it. A
 * damaged one is nothing to go back to.
 */
function nextPrevious(job: RevertJob, before: Links, target: string): string | null {
  if (!isDamaged(job, job.name, before.current)) return before.current;
  return before.previous === target ? null : before.previous;
}

/** On hold, the inputs left behind in quarantine, those arrived at out of it. */
function stateAfterRevert(
  { config, name, now }: RevertJob,
  state: ChrootState,
  before: Links,
  after: Links,
): ChrootState {
  const inputsOf = (id: string | null): string | null => {
    return id === null ? null : (readRecord(config.paths, name, id)?.inputs ?? null);
  };
  const [arrived, left] = [inputsOf(after.current), inputsOf(before.current)];
  const at = new Date(now()).toISOString();
  const quarantine = state.quarantine.filter(({ inputs }) => inputs !== arrived);
  const reason = `${before.current} was reverted by hand`;
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
