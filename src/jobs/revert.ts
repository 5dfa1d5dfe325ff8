import { CancelledError, messageOf, RejectedError } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { type RevertJob, type RevertWish, switchBack } from '../steps/switch-back.ts';
import { appendHistory } from '../store/history.ts';
import { readLinks } from '../store/links.ts';
import { Journal } from './journal.ts';
import { runJob } from './runner.ts';

export const REVERT_STEPS = [switchBack];

export type RevertResult =
  | { kind: 'reverted'; id: string; message: string; notes: readonly string[] }
  | { kind: 'rejected' | 'failed' | 'cancelled'; message: string };

/**
 * Switches a chroot to another generation. Where a person asked for it the inputs it leaves are in quarantine and the
 * chroot is on hold, so that the next package change does not bring back what was rejected. Never throws.
 */
export async function revert(
  site: Site,
  request: { name: string; signal: AbortSignal } & RevertWish,
): Promise<RevertResult> {
  const { name } = request;
  const { paths } = site.config;
  try {
    const job: RevertJob = { ...site, ...request, notes: [] };
    const left = currentOf(site, name);
    const journal = Journal.open(paths, {
      kind: 'revert',
      name,
      id: request.because === 'asked' ? (request.to ?? 'previous') : 'sound',
    });
    const log = (message: string): void => site.log.error('undo.failed', { name }, message);
    await runJob({ steps: REVERT_STEPS, job, site, journal, signal: request.signal, log });
    const id = currentOf(site, name) ?? '';
    const at = new Date(site.now()).toISOString();
    const [reason, message] = inWords(name, id, left, request);
    appendHistory(paths, { at, name, event: 'reverted', id, reason, message });
    site.log.info('image.reverted', { name, id, from: left }, message);
    site.notify({ kind: 'reverted', name, id, message, state: `${left ?? ''} → ${id}` });
    return { kind: 'reverted', id, message, notes: job.notes };
  } catch (error) {
    const message = messageOf(error);
    if (error instanceof CancelledError) return { kind: 'cancelled', message };
    site.log.warn('revert.failed', { name }, message);
    return { kind: error instanceof RejectedError ? 'rejected' : 'failed', message };
  }
}

/** The reason, and the whole in words. */
function inWords(name: string, id: string, left: string | null, { because }: RevertWish): [string, string] {
  if (because === 'damaged') {
    const message = `${name}: image ${left ?? ''} is damaged on the disk; image ${id}, the newest sound one, is live instead`;
    return ['the image was damaged on the disk', message];
  }
  const until = `on hold until ltsp-autoimage release ${name} or build ${name}`;
  return ['reverted by hand', `${name}: image ${id} is live again; ${until}`];
}

function currentOf({ config }: Site, name: string): string | null {
  const { current } = readLinks(config.paths, name);
  return current.kind === 'generation' ? current.id : null;
}
