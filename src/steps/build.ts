import fs from 'node:fs';
import * as z from 'zod';
import { type Recipe, recipeOf } from '../build/inputs.ts';
import { compressionName } from '../build/space.ts';
import { readPackages } from '../chroot/dpkg-state.ts';
import { VoidError } from '../errors.ts';
import { humanSize } from '../report/amounts.ts';
import { imageAccess } from '../serve/image-access.ts';
import { type Digest, digestOf } from '../store/digest.ts';
import { candidateOf as candidateFile, chrootManifestOf, generationDirectory, manifestOf } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { readRecord, removeGeneration } from '../store/records.ts';
import { syncFiles } from '../system/durable.ts';
import { fault } from '../system/faults.ts';
import { together } from '../system/together.ts';
import { bindManifest } from '../tree/manifest.ts';
import { releasePackages } from './lock-packages.ts';
import { type How, makeImage } from './make-image.ts';
import type { RebuildJob, Site } from './site.ts';
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
    const chrootManifest = job.view === null ? manifestFile : chrootManifestOf(file);
    const files = { image: file, manifest: manifestFile, chroot: chrootManifest };
    const { inputs, how } = await makeImage(job, recipe, files);
    fault('candidate.access');
    const { mode, gid } = imageAccess(config, settings.serve);
    if (gid !== null) fs.chownSync(file, 0, gid);
    fs.chmodSync(file, mode);

    const [, , { digest, size, sums }] = await together<[unknown, unknown, Digest]>(signal, [
      (stop) => requireStill(job, recipe, chrootManifest, stop),
      async () => {
        fault('candidate.sync');
        await syncFiles([file]);
      },
      (stop) => digestOf(file, stop),
    ]);
    if (chrootManifest !== manifestFile) fs.rmSync(chrootManifest, { force: true });
    // the next image may be built upon this one
    bindManifest(manifestFile, digest);
    await syncFiles([manifestFile]);
    const builtAt = new Date(job.now()).toISOString();
    job.written = how.kind === 'incremental' ? how.written : [];
    job.candidate = {
      id,
      name,
      digest,
      size,
      sums,
      builtAt,
      builder: how.kind === 'incremental' ? 'incremental' : 'mksquashfs',
      how: howWords(how),
      deadBytes: how.kind === 'incremental' ? how.stats.deadBytes : 0,
      verifiedAt: how.kind === 'incremental' && how.verified === 'some' ? formerlyVerified(job) : builtAt,
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

/** For the record, and for whoever asks why a build took its time. */
function howWords(how: How): string {
  if (how.kind === 'full') return `built in full: ${how.why}`;
  const { kept, written, appendedBytes } = how.stats;
  return `built upon the former image: ${kept} files kept, ${written} written (${humanSize(appendedBytes)})`;
}

/** When the image that this one was built upon was verified. */
function formerlyVerified({ config, chroot }: RebuildJob): string | null {
  const { current } = readLinks(config.paths, chroot.name);
  if (current.kind !== 'generation') return null;
  return readRecord(config.paths, chroot.name, current.id)?.verifiedAt ?? null;
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

function movedMessage(name: string, changes: readonly { message: string }[]): string {
  const [first] = changes;
  const more = changes.length > 1 ? ` and ${changes.length - 1} more` : '';
  return `cannot use the image of ${name}: the chroot changed while it was read (${first?.message ?? ''}${more})`;
}
