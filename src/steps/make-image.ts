import { randomBytes } from 'node:crypto';
import type { FormerGeneration, IncrementalStats } from '../build/incremental.ts';
import { type Inputs, inputsOf, inputsOfLook, type Recipe } from '../build/inputs.ts';
import { mksquashfs } from '../build/mksquashfs.ts';
import { requireSpace, spaceByFormer, spaceByTree } from '../build/space.ts';
import type { Generation } from '../store/generation.ts';
import { imageOf, manifestOf } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { readRecord } from '../store/records.ts';
import { together } from '../system/together.ts';
import { readingFromNow } from '../tree/look.ts';
import { makeRoomFor } from './prune.ts';
import { type RebuildJob, sourceOf } from './site.ts';

/** Where a candidate and what is known of it go. `chroot` is the manifest of the chroot itself, another one with a view. */
export type CandidateFiles = { image: string; manifest: string; chroot: string };

/** How an image was made: from the former one, or in full and why so. */
export type How =
  | { kind: 'incremental'; written: readonly string[]; stats: IncrementalStats; verified: 'some' | 'all' }
  | { kind: 'full'; why: string };

export type Made = { inputs: Inputs; how: How };

/** How long contents are trusted to be what change times say, before all of them are compared once more. */
const VERIFY_EVERY = 7 * 86_400_000;

/** Milliseconds that each incremental build spends on comparing unchanged files with the former image. */
const SAMPLE = 50;

/**
 * Makes the image file and the manifests of what is in it: from the former image where that is certain to give what a
 * full build would, else in full.
 * @throws VoidError, UserError, CancelledError; nothing of it stays then but what the step's undo removes
 */
export async function makeImage(job: RebuildJob, recipe: Recipe, files: CandidateFiles): Promise<Made> {
  const former = formerOf(job);
  const byFormer = spaceByFormer(recipe.compression, former);
  if (byFormer !== null) haveSpace(job, byFormer);
  job.onProgress('reading the chroot', null);
  const readSince = job.view?.readSince ?? readingFromNow();
  const why = whyFull(job, former);
  if (former !== null && why === null) {
    const made = await fromFormer(job, recipe, files, { former, readSince });
    if (made.kind === 'made') return made.made;
    return inFull(job, recipe, files, { readSince, hasSpace: byFormer !== null, why: made.why });
  }
  return inFull(job, recipe, files, { readSince, hasSpace: byFormer !== null, why: why ?? 'there is no former image' });
}

/** The generation that clients get now. */
function formerOf({ config, chroot }: RebuildJob): Generation | null {
  const { current } = readLinks(config.paths, chroot.name);
  return current.kind === 'generation' ? (readRecord(config.paths, chroot.name, current.id) ?? null) : null;
}

/** What speaks against building upon the former image before anybody looks at it; null: nothing does. */
function whyFull({ settings, engine }: RebuildJob, former: Generation | null): string | null {
  if (settings.build.engine === 'mksquashfs') return 'build.engine = "mksquashfs"';
  if (engine.kind === 'full') return engine.why;
  if (former === null) return 'there is no former image';
  return former.builder === 'foreign' ? 'another program made the former image' : null;
}

type Incremental = { kind: 'made'; made: Made } | { kind: 'full'; why: string };

async function fromFormer(
  job: RebuildJob,
  recipe: Recipe,
  files: CandidateFiles,
  { former, readSince }: { former: Generation; readSince: string },
): Promise<Incremental> {
  const { config, chroot, settings, signal } = job;
  const { trust, deadLimit } = settings.build;
  const generation: FormerGeneration = {
    ...former,
    image: imageOf(config.paths, chroot.name, former.id),
    manifest: manifestOf(config.paths, chroot.name, former.id),
  };
  const isDue = former.verifiedAt === null || job.now() - Date.parse(former.verifiedAt) >= VERIFY_EVERY;
  const seed = randomBytes(4).readInt32LE();
  const make = async (stop: AbortSignal): ReturnType<typeof job.incremental> =>
    job.incremental(
      {
        look: {
          root: sourceOf(job),
          ...recipe.selection,
          skipContents: [],
          manifestFile: files.manifest,
          readSince,
        },
        chroot: chroot.path,
        former: generation,
        target: files.image,
        compression: recipe.compression,
        trust,
        verify: isDue ? { kind: 'all' } : { kind: 'sample', budget: SAMPLE, seed },
        deadLimit,
        time: Math.floor(job.now() / 1000),
        nice: settings.build.nice,
      },
      stop,
    );
  // with a view, what decides about a build is the chroot and not the view
  const ofChroot = async (stop: AbortSignal): Promise<Inputs | null> =>
    job.view === null ? null : inputsOf(job.tree, chroot, recipe, stop, { file: files.chroot, readSince });
  const [result, inputs] = await together<[Awaited<ReturnType<typeof make>>, Inputs | null]>(signal, [make, ofChroot]);
  if (result.kind === 'full') return result;
  const { look, written, stats } = result;
  const verified = isDue || trust === 'content' ? 'all' : 'some';
  const how: How = { kind: 'incremental', written, stats, verified };
  return { kind: 'made', made: { inputs: inputs ?? inputsOfLook(look, recipe), how } };
}

async function inFull(
  job: RebuildJob,
  recipe: Recipe,
  files: CandidateFiles,
  { readSince, hasSpace, why }: { readSince: string; hasSpace: boolean; why: string },
): Promise<Made> {
  const { chroot, signal } = job;
  const manifest = { file: files.chroot, readSince };
  const walk = (stop: AbortSignal): Promise<Inputs> => inputsOf(job.tree, chroot, recipe, stop, manifest);
  const walkView = (stop: AbortSignal): Promise<void> => walkOfView(job, recipe, files.manifest, stop);
  const make = (stop: AbortSignal): Promise<void> => bySquashfsTools(job, recipe, files.image, stop);
  const how: How = { kind: 'full', why };
  if (hasSpace) {
    const [inputs] = await together<[Inputs, unknown, unknown]>(signal, [walk, walkView, make]);
    return { inputs, how };
  }
  const inputs = await walk(signal);
  haveSpace(job, spaceByTree(recipe.compression, inputs.look.bytes));
  await together<[unknown, unknown]>(signal, [walkView, make]);
  return { inputs, how };
}

/** The image of a view has what the view has. */
async function walkOfView(
  job: RebuildJob,
  { selection }: Recipe,
  manifestFile: string,
  signal: AbortSignal,
): Promise<void> {
  if (job.view === null) return;
  await job.tree.look({ root: job.view.root, ...selection, skipContents: [], manifestFile }, signal);
}

function bySquashfsTools(
  job: RebuildJob,
  { compression, selection }: Recipe,
  image: string,
  signal: AbortSignal,
): Promise<void> {
  return mksquashfs({
    source: sourceOf(job),
    image,
    compression,
    excludes: selection.excludePatterns,
    nice: job.settings.build.nice,
    signal,
    onPercent: (percent) => job.onProgress('building the image', percent),
  });
}

/** Makes sure that there is room, also at the cost of generations that nobody uses. */
function haveSpace(job: RebuildJob, needed: number): void {
  makeRoomFor(job, job.chroot.name, job.settings.keep, needed);
  requireSpace(job.chroot.name, job.config.paths.images, needed);
}
