import { build } from '../steps/build.ts';
import { checkCandidate } from '../steps/check-candidate.ts';
import { checkLive, probeLive } from '../steps/check-live.ts';
import { cleanView } from '../steps/clean-view.ts';
import { exportImage } from '../steps/export-image.ts';
import { runPreBuild } from '../steps/hooks.ts';
import { lockPackages } from '../steps/lock-packages.ts';
import { publishStaged } from '../steps/publish.ts';
import { type Candidate, candidateOf, type RebuildJob, type Site } from '../steps/site.ts';
import { readChrootState, updateChrootState } from '../store/chroot-state.ts';
import { addGeneration, imageIds, readRecord, removeGeneration } from '../store/records.ts';
import { attempt, forgetStaged } from './aftermath.ts';
import { carryOut, newBuild, newJob, published, type RebuildRequest, type RebuildResult } from './rebuild.ts';

/** The first half of a rebuild's steps, and the second. After a crash their undo is found among the rebuild's, by name. */
const AHEAD = [lockPackages, cleanView, build, checkCandidate];
const AFTERWARDS = [probeLive, publishStaged, exportImage, checkLive];

/** Builds and checks an image that is to be published later; nothing changes for clients. Never throws. */
export function buildAhead(site: Site, request: RebuildRequest): Promise<RebuildResult> {
  const done = (job: RebuildJob, total: number): Promise<RebuildResult> => staged(site, job, total);
  return carryOut(site, newBuild(site, request), { before: runPreBuild, steps: AHEAD, done });
}

/** Publishes what was built ahead. Only while it is of the inputs that the chroot has. Never throws. */
export async function publishAhead(
  site: Site,
  request: Omit<RebuildRequest, 'reason'>,
  record: Candidate,
): Promise<RebuildResult> {
  const { name, id, reason } = record;
  const job: RebuildJob = { ...newJob(site, { ...request, reason }, id), candidate: { ...record } };
  const done = (): Promise<RebuildResult> => published(site, job, record.took.total ?? 0);
  const result = await carryOut(site, job, { before: async () => {}, steps: AFTERWARDS, done });
  // nobody is to come back to it
  if (result.kind === 'rejected' || result.kind === 'void') attempt(site, name, () => forgetStaged(site, name));
  return result;
}

/** The image that was built ahead of these inputs, if there is one and nobody removed it. */
export function stagedImage({ config: { paths } }: Site, name: string, inputs: string): Candidate | null {
  const { staged } = readChrootState(paths, name);
  if (staged === undefined || staged.inputs !== inputs) return null;
  const record = imageIds(paths, name).includes(staged.id) ? readRecord(paths, name, staged.id) : undefined;
  return record === undefined || record.damagedAt !== null ? null : { ...record, inputs };
}

/**
 * The note that it is there comes first: without its image it means nothing, while an image without it would never be
 * published and stay.
 */
async function staged(site: Site, job: RebuildJob, total: number): Promise<RebuildResult> {
  const candidate = candidateOf(job);
  const { name, id, inputs } = candidate;
  const { paths } = site.config;
  try {
    forgetStaged(site, name);
    const at = new Date(site.now()).toISOString();
    updateChrootState(paths, name, (state) => ({ ...state, staged: { id, inputs, at } }));
    addGeneration(paths, { ...candidate, took: { ...candidate.took, total } });
  } catch (error) {
    attempt(site, name, () => removeGeneration(paths, name, id));
    throw error;
  }
  const message = `${name}: image ${id} is built and checked, to be published when quiet hours end (${job.reason})`;
  site.log.info('image.staged', { name, id, size: candidate.size }, message);
  return { kind: 'staged', id, message };
}
