import type { Cause } from '../decide/event.ts';
import { holdNow } from '../decide/hold.ts';
import { type Decision, type Facts, plan } from '../decide/plan.ts';
import type { Site } from '../steps/site.ts';
import { readChrootState } from '../store/chroot-state.ts';
import { readLinks } from '../store/links.ts';
import { generations } from '../store/records.ts';

/** Decides with what is on disk at this moment. @param inputs the digest of the chroot's inputs as they are now */
export function decisionNow({ config, now }: Site, name: string, causes: readonly Cause[], inputs: string): Decision {
  const { quarantine, hold } = readChrootState(config.paths, name);
  const current = currentOf(config.paths, name);
  return plan({ name, causes, inputs, current, quarantine, hold: holdNow(hold, now()) });
}

/** Whether clients get an image of which is known that it has other bytes than were checked. */
export function isCurrentDamaged({ config }: Site, name: string): boolean {
  return typeof currentOf(config.paths, name)?.damagedAt === 'string';
}

/** The image that clients get, as far as it is known. */
export function currentOf(paths: Site['config']['paths'], name: string): Facts['current'] {
  const { current } = readLinks(paths, name);
  if (current.kind === 'absent') return null;
  const unknown = { id: 'foreign', inputs: null, builtAt: '', damagedAt: null };
  if (current.kind === 'foreign') return unknown;
  return generations(paths, name).generations.find(({ id }) => id === current.id) ?? unknown;
}
