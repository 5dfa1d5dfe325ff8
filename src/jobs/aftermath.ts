import { messageOf } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { readChrootState, updateChrootState } from '../store/chroot-state.ts';
import type { Generation } from '../store/generation.ts';
import { appendHistory, readHistory } from '../store/history.ts';
import { readLinks } from '../store/links.ts';
import { removeGeneration } from '../store/records.ts';

/**
 * Remembers that a generation has been published: it is no longer on hold, its inputs are good, and history says so. May
 * be repeated, as after a crash in between. The image is live: what fails here is told, but takes nothing back.
 */
export function rememberPublished(site: Site, record: Generation): void {
  const { paths } = site.config;
  const { name, id, inputs, digest, size, took, reason } = record;
  // a job that is done may also have built an image for later
  if (!isCurrent(site, record)) return;
  const at = new Date(site.now()).toISOString();
  attempt(site, name, () => {
    forgetStaged(site, name);
    updateChrootState(paths, name, ({ hold, quarantine, looked }) => ({
      // it was said too late to keep this one back, and holds for the next
      hold: hold !== null && hold.since > record.builtAt ? hold : null,
      quarantine: quarantine.filter((entry) => entry.inputs !== inputs),
      looked: inputs === null ? looked : { inputs, at },
    }));
  });
  attempt(site, name, () => {
    if (readHistory(paths, name, 50).some((entry) => entry.event === 'published' && entry.id === id)) return;
    const message = publishedMessage(record);
    appendHistory(paths, { at, name, event: 'published', id, reason, message, digest, size, took });
  });
}

/** Where it cannot be told, it is taken for what the job was for. */
function isCurrent(site: Site, { name, id }: Generation): boolean {
  let found = true;
  attempt(site, name, () => {
    const { current } = readLinks(site.config.paths, name);
    found = current.kind === 'generation' && current.id === id;
  });
  return found;
}

/** What was built to be published later is not to be published any more. */
export function forgetStaged({ config: { paths } }: Site, name: string): void {
  const { staged } = readChrootState(paths, name);
  if (staged === undefined) return;
  const { current, previous } = readLinks(paths, name);
  const isLinked = [current, previous].some((link) => link.kind === 'generation' && link.id === staged.id);
  if (!isLinked) removeGeneration(paths, name, staged.id);
  updateChrootState(paths, name, ({ staged: _, ...state }) => state);
}

export function publishedMessage({ name, id, reason }: Generation): string {
  return `${name}: image ${id} is live (${reason})`;
}

/** Does something that does not count for clients; when it fails that is told, and no more. */
export function attempt(site: Site, name: string, effect: () => void): void {
  try {
    effect();
  } catch (error) {
    site.log.error('image.aftermath', { name }, `${name}: clients have what they should, but: ${messageOf(error)}`);
  }
}
