import { messageOf } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { updateChrootState } from '../store/chroot-state.ts';
import type { Generation } from '../store/generation.ts';
import { appendHistory, readHistory } from '../store/history.ts';

/**
 * Remembers that a generation has been published: it is no longer on hold, its inputs are good, and history says so. May
 * be repeated, as after a crash in between. The image is live: what fails here is told, but takes nothing back.
 */
export function rememberPublished(site: Site, record: Generation): void {
  const { paths } = site.config;
  const { name, id, inputs, digest, size, took, reason } = record;
  const at = new Date(site.now()).toISOString();
  attempt(site, name, () => {
    updateChrootState(paths, name, (state) => ({
      hold: null,
      quarantine: state.quarantine.filter((entry) => entry.inputs !== inputs),
      looked: inputs === null ? state.looked : { inputs, at },
    }));
  });
  attempt(site, name, () => {
    if (readHistory(paths, name, 50).some((entry) => entry.event === 'published' && entry.id === id)) return;
    const message = publishedMessage(record);
    appendHistory(paths, { at, name, event: 'published', id, reason, message, digest, size, took });
  });
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
