import fs from 'node:fs';
import * as z from 'zod';
import { type Inputs, inputsOf, type Recipe, recipeOf } from '../build/inputs.ts';
import { mksquashfs } from '../build/mksquashfs.ts';
import { compressionName, requireSpace, spaceByFormer, spaceByTree } from '../build/space.ts';
import { readPackages } from '../chroot/dpkg-state.ts';
import { VoidError } from '../errors.ts';
import { imageAccess } from '../serve/image-access.ts';
import { type Digest, digestOf } from '../store/digest.ts';
import { candidateOf as candidateFile, chrootManifestOf, generationDirectory, manifestOf } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { generations, removeGeneration } from '../store/records.ts';
import { syncFiles } from '../system/durable.ts';
import { together } from '../system/together.ts';
import { readingFromNow } from '../tree/look.ts';
import { releasePackages } from './lock-packages.ts';
import { makeRoomFor } from './prune.ts';
import { type RebuildJob, type Site, sourceOf } from './site.ts';
import { defineStep } from './step.ts';

/** Makes the candidate and its manifest. The packages are free again when the tree has been read. */
export const build = defineStep<Site, RebuildJob, { name: string; id: string }>({
  name: 'build',
  plan: z.object({ name: z.string(), id: z.string() }),
  prepare: (job) => ({ name: job.chroot.name, id: job.id }),
  act: async (job, { name, id }) => {
    const { config, chroot, settings, signal } = job;
    const file = candidateFile(config.paths, name, id);
    const manifestFile = manifestOf(config.paths, name, id);
    fs.mkdirSync(generationDirectory(config.paths, name), { recursive: true, mode: 0o700 });
    const started = performance.now();

    const recipe = recipeOf(config, chroot, settings);
    const { packages } = readPackages(chroot);
    const byFormer = spaceByFormer(recipe.compression, formerImage(job));
    if (byFormer !== null) haveSpace(job, byFormer);
    job.onProgress('reading the chroot', null);
    const chrootManifest = job.view === null ? manifestFile : chrootManifestOf(file);
    const manifest = { file: chrootManifest, readSince: job.view?.readSince ?? readingFromNow() };
    const walk = (stop: AbortSignal): Promise<Inputs> => inputsOf(job.tree, chroot, recipe, stop, manifest);
    const walkView = (stop: AbortSignal): Promise<void> => walkOfView(job, recipe, manifestFile, stop);
    const make = (stop: AbortSignal): Promise<void> => makeImage(job, recipe, file, stop);
    let inputs: Inputs;
    if (byFormer === null) {
      inputs = await walk(signal);
      haveSpace(job, spaceByTree(recipe.compression, inputs.look.bytes));
      await together<[unknown, unknown]>(signal, [walkView, make]);
    } else {
      [inputs] = await together<[Inputs, unknown, unknown]>(signal, [walk, walkView, make]);
    }
    const { mode, gid } = imageAccess(config, settings.serve);
    if (gid !== null) fs.chownSync(file, 0, gid);
    fs.chmodSync(file, mode);

    const [, , { digest, size, sums }] = await together<[unknown, unknown, Digest]>(signal, [
      (stop) => requireStill(job, recipe, chrootManifest, stop),
      async () => syncFiles([file, manifestFile]),
      (stop) => digestOf(file, stop),
    ]);
    if (chrootManifest !== manifestFile) fs.rmSync(chrootManifest, { force: true });
    job.candidate = {
      id,
      name,
      digest,
      size,
      sums,
      builtAt: new Date(job.now()).toISOString(),
      builder: 'mksquashfs',
      inputs: inputs.digest,
      reason: job.reason,
      compression: compressionName(recipe.compression),
      entries: inputs.look.entries,
      packages,
      kernels: [...recipe.kernels],
      checks: [],
      took: { build: Math.round(performance.now() - started) },
      replacedAt: null,
      damagedAt: null,
    };
  },
  undo: ({ config }, { name, id }) => removeGeneration(config.paths, name, id),
});

/** Makes sure that there is room, also at the cost of generations that nobody uses. */
function haveSpace(job: RebuildJob, needed: number): void {
  makeRoomFor(job, job.chroot.name, job.settings.keep, needed);
  requireSpace(job.chroot.name, job.config.paths.images, needed);
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

function makeImage(
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

/**
 * The tree must have stood still from before anybody read it to after the last byte was read; then the packages are free.
 * @throws VoidError naming what changed
 */
async function requireStill(
  job: RebuildJob,
  { selection }: Recipe,
  manifestFile: string,
  signal: AbortSignal,
): Promise<void> {
  const walk = { root: job.chroot.path, ...selection, skipContents: [], manifestFile };
  const changes = await job.tree.compareWalk(walk, signal);
  releasePackages(job);
  if (changes.length > 0) throw new VoidError(movedMessage(job.chroot.name, changes));
}

function formerImage({ config, chroot }: RebuildJob): { size: number; compression: string } | null {
  const { current } = readLinks(config.paths, chroot.name);
  if (current.kind !== 'generation') return null;
  return generations(config.paths, chroot.name).generations.find(({ id }) => id === current.id) ?? null;
}

function movedMessage(name: string, changes: readonly { message: string }[]): string {
  const [first] = changes;
  const more = changes.length > 1 ? ` and ${changes.length - 1} more` : '';
  return `cannot use the image of ${name}: the chroot changed while it was read (${first?.message ?? ''}${more})`;
}
