import fs from 'node:fs';
import * as z from 'zod';
import { inputsOf } from '../build/inputs.ts';
import { mksquashfs } from '../build/mksquashfs.ts';
import { compressionName, requireSpace, spaceNeeded } from '../build/space.ts';
import { readPackages } from '../chroot/dpkg-state.ts';
import { VoidError } from '../errors.ts';
import { imageAccess } from '../serve/image-access.ts';
import { digestOf } from '../store/digest.ts';
import { candidateOf as candidateFile, generationDirectory, manifestOf } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { generations, removeGeneration } from '../store/records.ts';
import { syncFile } from '../system/durable.ts';
import { releasePackages } from './lock-packages.ts';
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
    fs.mkdirSync(generationDirectory(config.paths, name), { recursive: true, mode: 0o755 });
    const started = performance.now();

    job.onProgress('reading the chroot', null);
    const inputs = await inputsOf(job, chroot, settings, manifestFile, signal);
    const { packages } = readPackages(chroot);
    const { compression, selection, look } = inputs;
    requireSpace(name, config.paths.images, spaceNeeded(look.bytes, compression, formerImage(job)));

    await mksquashfs({
      source: chroot.path,
      image: file,
      compression,
      excludes: selection.excludePatterns,
      nice: settings.build.nice,
      signal,
      onPercent: (percent) => job.onProgress('building the image', percent),
    });
    // What counts is that the tree stood still from before the first walk to after the last byte was read.
    const walk = { root: chroot.path, ...selection, skipContents: [], manifestFile };
    const changes = await job.tree.compareWalk(walk, signal);
    releasePackages(job);
    if (changes.length > 0) throw new VoidError(movedMessage(name, changes));

    const { mode, gid } = imageAccess(config, settings.serve);
    if (gid !== null) fs.chownSync(file, 0, gid);
    fs.chmodSync(file, mode);
    syncFile(file);
    syncFile(manifestFile);
    const { digest, size } = await digestOf(file, signal);
    job.candidate = {
      id,
      name,
      digest,
      size,
      builtAt: new Date(job.now()).toISOString(),
      builder: 'mksquashfs',
      inputs: inputs.digest,
      reason: job.reason,
      compression: compressionName(compression),
      entries: look.entries,
      packages,
      kernels: [...inputs.kernels],
      checks: [],
      took: { build: Math.round(performance.now() - started) },
      replacedAt: null,
    };
  },
  undo: ({ config }, { name, id }) => removeGeneration(config.paths, name, id),
});

function formerImage({ config, chroot }: RebuildJob): { size: number; compression: string } | null {
  const { current } = readLinks(config.paths, chroot.name);
  if (current.kind !== 'generation') return null;
  return generations(config.paths, chroot.name).generations.find(({ id }) => id === current.id) ?? null;
}

function movedMessage(name: string, changes: readonly { message: string }[]): string {
  const [first] = changes;
  const more = changes.length > 1 ? ` and ${changes.length - 1} more` : '';
  return `cannot use the image of ${name}: the chroot changed while it was read (${first?.message ?? ''}${more}); it is built again`;
}
