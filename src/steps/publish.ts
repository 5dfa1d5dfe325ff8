import * as z from 'zod';
import { adoptForeign } from '../store/foreign.ts';
import { type LinkTarget, readLinks } from '../store/links.ts';
import { addGeneration } from '../store/records.ts';
import { type Links, switchTo } from '../store/switch.ts';
import { candidateOf, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

const links = z.object({ current: z.string().nullable(), previous: z.string().nullable() });

/** What clients get changes here: the candidate becomes a generation, and the current one. */
export const publish = defineStep<Site, RebuildJob, { name: string; before: Links; after: Links }>({
  name: 'publish',
  plan: z.object({ name: z.string(), before: links, after: links }),
  prepare: async (job) => {
    const { name } = job.chroot;
    const before = await ownLinks(job, name);
    return { name, before, after: { current: job.id, previous: nextPrevious(job, before) } };
  },
  act: (job, { name, after }) => {
    job.onProgress('publishing the image', null);
    addGeneration(job.config.paths, candidateOf(job));
    switchTo(job.config.paths, name, after, job.now());
  },
  undo: (site, { name, before }) => switchTo(site.config.paths, name, before, site.now()),
});

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

/** A twin of the current image replaces it and must not push the good `.old` out; so does `keep.backup = false`. */
function nextPrevious(job: RebuildJob, before: Links): string | null {
  if (job.twin === 'twin' || !job.settings.keep.backup) return before.previous;
  return before.current ?? before.previous;
}
