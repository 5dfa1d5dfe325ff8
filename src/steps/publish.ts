import { VoidError } from '../errors.ts';
import { digestOf } from '../store/digest.ts';
import { adoptForeign } from '../store/foreign.ts';
import { candidateOf as candidateFile, imageOf } from '../store/layout.ts';
import { type LinkTarget, readLinks } from '../store/links.ts';
import { addGeneration, readRecord } from '../store/records.ts';
import type { Links } from '../store/switch.ts';
import { candidateOf, note, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';
import { finishUnit, planUnit, switchUnit, type UnitPlan, undoUnit, unitPlan } from './unit.ts';

/** What clients get changes here: the candidate becomes a generation, and the current one, together with its boot files. */
export const publish = defineStep<Site, RebuildJob, UnitPlan>({
  name: 'publish',
  plan: unitPlan,
  prepare: (job) => planFrom(job, candidateFile(job.config.paths, job.chroot.name, job.id)),
  act: async (job, plan) => {
    addGeneration(job.config.paths, candidateOf(job));
    await switchUnit(job, plan, { file: imageOf(job.config.paths, plan.name, job.id), signal: job.signal });
  },
  undo: (site, plan) => undoUnit(site, plan),
  finish: (_, plan) => finishUnit(plan),
});

/**
 * The same with an image that was built earlier and is a generation already; after a crash `publish` undoes it, whose name
 * it has. One that rotted meanwhile is void.
 */
export const publishStaged = defineStep<Site, RebuildJob, UnitPlan>({
  name: publish.name,
  plan: unitPlan,
  prepare: async (job) => {
    const { name, digest } = candidateOf(job);
    const file = imageOf(job.config.paths, name, job.id);
    if ((await digestOf(file, job.signal)).digest === digest) return planFrom(job, file);
    throw new VoidError(`cannot publish image ${job.id} of ${name}: its bytes are not those that were checked`);
  },
  act: (job, plan) => {
    return switchUnit(job, plan, { file: imageOf(job.config.paths, plan.name, job.id), signal: job.signal });
  },
  undo: (site, plan) => undoUnit(site, plan),
  finish: (_, plan) => finishUnit(plan),
});

async function planFrom(job: RebuildJob, file: string): Promise<UnitPlan> {
  const { name } = job.chroot;
  job.onProgress('publishing the image', null);
  const before = await ownLinks(job, name);
  const after = { current: job.id, previous: nextPrevious(job, before) };
  const source = { file, signal: job.signal };
  return planUnit(job, { name, before, after }, source, (text) => note(job, 'boot.kept', name, text));
}

/**
 * Which generations `NAME.img` and `.old` are. An image that another program put there becomes a generation first, so
 * that it is not lost when its name is given to another.
 */
export async function ownLinks(site: Site, name: string): Promise<Links> {
  const { paths } = site.config;
  const found = readLinks(paths, name);
  const idOf = async (which: 'current' | 'previous', target: LinkTarget): Promise<string | null> => {
    if (target.kind === 'absent') return null;
    if (target.kind === 'generation') return target.id;
    const { id } = await adoptForeign(paths, name, which, site.now());
    site.log.info('image.adopted', { name, id }, `${name}: took up an image that another program had made`);
    return id;
  };
  // one after the other: both may be the same file
  const previous = await idOf('previous', found.previous);
  const current = await idOf('current', readLinks(paths, name).current);
  return { current, previous };
}

/** Whether a generation is known to have other bytes than were checked. */
export function isDamaged({ config }: Site, name: string, id: string | null): boolean {
  return id !== null && typeof readRecord(config.paths, name, id)?.damagedAt === 'string';
}

/** A twin of the current image replaces it and must not push the good `.old` out; so does `keep.backup = false`. */
function nextPrevious(job: RebuildJob, before: Links): string | null {
  if (job.twin === 'twin' || !job.settings.keep.backup) return before.previous;
  // nobody is to go back to it
  if (isDamaged(job, job.chroot.name, before.current)) return before.previous;
  return before.current ?? before.previous;
}
