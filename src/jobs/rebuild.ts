import type { Chroot } from '../chroot/chroot.ts';
import type { ChrootConfig } from '../config/config.ts';
import { BusyError, CancelledError, messageOf, RejectedError, VoidError } from '../errors.ts';
import { build } from '../steps/build.ts';
import { checkCandidate } from '../steps/check-candidate.ts';
import { checkLive, probeLive } from '../steps/check-live.ts';
import { cleanView, closeView } from '../steps/clean-view.ts';
import { exportImage } from '../steps/export-image.ts';
import { runPostPublish, runPreBuild } from '../steps/hooks.ts';
import { lockPackages, releasePackages } from '../steps/lock-packages.ts';
import { pruneGenerations } from '../steps/prune.ts';
import { publish } from '../steps/publish.ts';
import { candidateOf, type Engine, type RebuildJob, type Site } from '../steps/site.ts';
import type { Step } from '../steps/step.ts';
import { updateChrootState } from '../store/chroot-state.ts';
import { digestOf } from '../store/digest.ts';
import { appendHistory, readHistory } from '../store/history.ts';
import { imageOf, rejectedFiles } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { newId, readRecord, writeRecord } from '../store/records.ts';
import { attempt, publishedMessage, rememberPublished } from './aftermath.ts';
import { Journal } from './journal.ts';
import { runJob, undoErrorsOf } from './runner.ts';

/** The steps of a rebuild, in their order. After a crash the undo of each is found here by its name. */
export const REBUILD_STEPS = [
  lockPackages,
  cleanView,
  build,
  checkCandidate,
  probeLive,
  publish,
  exportImage,
  checkLive,
];

export type RebuildRequest = {
  chroot: Chroot;
  settings: ChrootConfig;
  reason: string;
  twin: 'twin' | 'new';
  /** By default whatever the config says and is right. */
  engine?: Engine;
  signal: AbortSignal;
  onProgress: (text: string, percent: number | null) => void;
};

export type RebuildResult =
  | { kind: 'published'; id: string; message: string; notes: readonly string[] }
  /** Built and checked, to be published later. */
  | { kind: 'staged'; id: string; message: string }
  /** A check failed: what was live is live, the inputs are in quarantine. */
  | { kind: 'rejected'; message: string }
  /** The chroot changed while it was read. */
  | { kind: 'void'; message: string }
  /** Something else has what the job needs. */
  | { kind: 'busy'; message: string; holder: string }
  | { kind: 'cancelled'; message: string }
  | { kind: 'failed'; message: string };

/** Builds, checks and publishes one image; on every failure what clients get is what they got before. Never throws. */
export function rebuild(site: Site, request: RebuildRequest): Promise<RebuildResult> {
  const done = (job: RebuildJob, total: number): Promise<RebuildResult> => published(site, job, total);
  return carryOut(site, newBuild(site, request), { before: runPreBuild, steps: REBUILD_STEPS, done });
}

/** A job that builds a new generation. */
export function newBuild(site: Site, request: RebuildRequest): RebuildJob {
  const { name } = request.chroot;
  const id = newId(site.config.paths, name, site.now());
  site.log.info('build.started', { name, id, reason: request.reason }, `${name}: building, since ${request.reason}`);
  return newJob(site, request, id);
}

export function newJob(site: Site, request: RebuildRequest, id: string): RebuildJob {
  return {
    ...site,
    ...request,
    id,
    packageLock: null,
    view: null,
    candidate: null,
    engine: request.engine ?? { kind: 'any' },
    written: [],
    liveBefore: { kind: 'no export' },
    notes: [],
  };
}

export type Course = {
  /** What comes first, without any effect of ours. */
  before: (job: RebuildJob) => Promise<void>;
  steps: readonly Step<Site, RebuildJob>[];
  /** What follows once the steps are done. @param total milliseconds that all of it took */
  done: (job: RebuildJob, total: number) => Promise<RebuildResult>;
};

/** Carries out a job of ours, and says what came of it. Never throws. */
export async function carryOut(site: Site, job: RebuildJob, course: Course): Promise<RebuildResult> {
  const { before, steps, done } = course;
  const { id, signal } = job;
  const { name } = job.chroot;
  const started = performance.now();
  try {
    await before(job);
    const journal = Journal.open(site.config.paths, { kind: 'rebuild', name, id });
    const log = (message: string): void => site.log.error('undo.failed', { name, id }, message);
    await runJob({ steps, job, site, journal, signal, log });
    return await done(job, Math.round(performance.now() - started));
  } catch (error) {
    // what could not be taken back is in the way of another try
    const isUndone = undoErrorsOf(error).length === 0;
    if (error instanceof RejectedError && isUndone && isBuiltUpon(job))
      return await againInFull(site, job, course, error);
    return await notPublished(site, job, error);
  } finally {
    releasePackages(job);
    await closeView(job);
  }
}

/** A candidate that was built upon the former image, and which no client has had. */
function isBuiltUpon(job: RebuildJob): boolean {
  return job.candidate?.builder === 'incremental' && !wasLive(job);
}

/** What a check says of an image that was built upon another may be about that one: no inputs are judged by it. */
async function againInFull(site: Site, job: RebuildJob, course: Course, error: RejectedError): Promise<RebuildResult> {
  const { name } = job.chroot;
  const why = `the image that was built upon the former one was rejected: ${messageOf(error)}`;
  site.log.warn('build.again', { name, id: job.id }, `${name}: building in full, since ${why}`);
  releasePackages(job);
  await closeView(job);
  const { chroot, settings, reason, twin, signal, onProgress } = job;
  const request: RebuildRequest = { chroot, settings, reason, twin, engine: { kind: 'full', why }, signal, onProgress };
  const again = newJob(site, request, newId(site.config.paths, name, site.now()));
  return carryOut(site, again, { ...course, before: async () => {} });
}

/** The image is live: what fails from here on is told, but takes nothing back. */
export async function published(site: Site, job: RebuildJob, total: number): Promise<RebuildResult> {
  const { name } = job.chroot;
  const candidate = candidateOf(job);
  const record = { ...candidate, took: { ...candidate.took, total } };
  attempt(site, name, () => writeRecord(site.config.paths, record));
  rememberPublished(site, record);
  attempt(site, name, () => pruneGenerations(site, name, job.settings.keep));
  const message = publishedMessage(record);
  const { digest, size, took } = record;
  site.log.info('image.published', { name, id: job.id, digest, size, took }, message);
  site.notify({ kind: 'published', name, id: job.id, message, state: job.id });
  site.notify({ kind: 'well-again', name, id: job.id, message: `${message}; all is well again`, state: job.id });
  await runPostPublish(job);
  return { kind: 'published', id: job.id, message, notes: job.notes };
}

async function notPublished(site: Site, job: RebuildJob, error: unknown): Promise<RebuildResult> {
  const { name } = job.chroot;
  const { paths } = site.config;
  const why = messageOf(error);
  if (error instanceof BusyError) return { kind: 'busy', message: why, holder: error.holder };
  if (error instanceof CancelledError || job.signal.aborted) {
    return { kind: 'cancelled', message: `the build of ${name} was stopped; nothing has changed for clients` };
  }
  const result =
    wasLive(job) && undoErrorsOf(error).length === 0
      ? await takenBack(site, job, why)
      : resultOf(site, name, error, why);
  if (result.kind === 'rejected' && job.candidate !== null) {
    const { inputs } = job.candidate;
    attempt(site, name, () => {
      updateChrootState(paths, name, (state) => ({
        ...state,
        quarantine: [...state.quarantine, { inputs, reason: why, at: new Date(site.now()).toISOString() }],
      }));
    });
  }
  attempt(site, name, () => {
    // one that fails at each try must not push everything else out of the history
    const last = readHistory(paths, name, 1).at(-1);
    if (last?.event === result.kind && last.message === result.message) return;
    const at = new Date(site.now()).toISOString();
    appendHistory(paths, { at, name, event: result.kind, id: job.id, reason: job.reason, message: result.message });
  });
  const event = { rejected: 'image.rejected', void: 'build.void', failed: 'build.failed' } as const;
  site.log.warn(event[result.kind], { name, id: job.id }, result.message);
  if (result.kind === 'rejected') {
    const kind = wasLive(job) ? 'reverted' : 'rejected';
    site.notify({ kind, name, id: job.id, message: result.message, state: job.candidate?.inputs ?? job.id });
  }
  return result;
}

function wasLive({ candidate }: RebuildJob): boolean {
  return candidate?.checks.some(({ name, passed }) => name === 'live' && !passed) ?? false;
}

/** Clients had it for a moment: what they get now is looked at as well. */
async function takenBack(site: Site, job: RebuildJob, why: string): Promise<{ kind: 'rejected'; message: string }> {
  const { name } = job.chroot;
  const { paths } = site.config;
  const { current } = readLinks(paths, name);
  const now = current.kind === 'generation' ? await whetherSound(site, name, current.id) : 'there is none now';
  const kept = rejectedFiles(paths, name).image;
  const message = `the new image of ${name} failed where clients get it and was taken back: ${why}; ${now} (it is kept as ${kept})`;
  site.log.warn('image.reverted', { name, id: job.id }, message);
  return { kind: 'rejected', message };
}

async function whetherSound({ config: { paths } }: Site, name: string, id: string): Promise<string> {
  const { digest } = await digestOf(imageOf(paths, name, id));
  const sound = digest === readRecord(paths, name, id)?.digest;
  return sound ? `image ${id} is live again` : `image ${id} is live again, but has other bytes than were checked`;
}

function resultOf(
  site: Site,
  name: string,
  error: unknown,
  why: string,
): { kind: 'rejected' | 'void' | 'failed'; message: string } {
  const [undoError] = undoErrorsOf(error);
  if (undoError !== undefined) {
    const message = `cannot take back what was done for the image of ${name}: ${messageOf(undoError)}; it began with: ${why}`;
    return {
      kind: 'failed',
      message: `${message} (tried again before the next build; look with ltsp-autoimage status)`,
    };
  }
  if (error instanceof RejectedError) {
    const live =
      readLinks(site.config.paths, name).current.kind === 'absent'
        ? 'there is none that clients could get'
        : 'the old one is live';
    const kept = rejectedFiles(site.config.paths, name).image;
    const message = `the new image of ${name} was rejected and ${live}: ${why} (it is kept as ${kept})`;
    return { kind: 'rejected', message };
  }
  if (error instanceof VoidError) return { kind: 'void', message: why };
  const message = why.startsWith(`cannot build ${name}`) ? why : `cannot build ${name}: ${why}`;
  return { kind: 'failed', message };
}
