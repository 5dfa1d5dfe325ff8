import type { Chroot } from '../chroot/chroot.ts';
import { readPackages } from '../chroot/dpkg-state.ts';
import { type Cause, isUrgent } from '../decide/event.ts';
import { quietUntil } from '../decide/quiet-hours.ts';
import { isForced } from '../decide/settle.ts';
import { urgentChange, type When, when } from '../decide/when.ts';
import type { Site } from '../steps/site.ts';
import { readChrootState } from '../store/chroot-state.ts';
import { readRecord } from '../store/records.ts';
import { currentOf } from './decision.ts';
import { stagedImage } from './stage.ts';

export type Due = {
  causes: readonly Cause[];
  /** Whether somebody waits for an answer. */
  asked: 'asked' | 'unasked';
  /** Digest of the chroot's inputs as they are now. */
  inputs: string;
  /** Milliseconds since the epoch. */
  now: number;
};

/** When an image that is due is made and published, with what is on disk at this moment. */
export function timingNow(site: Site, chroot: Chroot, { causes, asked, inputs, now }: Due): When {
  const { quietHours, timezone, inQuietHours } = site.config.schedule;
  const quiet = quietUntil(now, quietHours, timezone);
  const byPerson = asked === 'asked' || causes.some(isUrgent) ? 'it was asked for' : null;
  const atOnce = quiet === null ? null : (byPerson ?? whyAtOnce(site, chroot));
  const isBuilt = !causes.some(isForced) && stagedImage(site, chroot.name, inputs) !== null;
  return when({ quietUntil: quiet, inQuietHours, atOnce, built: isBuilt ? 'built' : 'not built' });
}

/** When a hold ends by itself, in milliseconds since the epoch; null when there is none that does. */
export function holdEnd({ config }: Site, name: string): number | null {
  const { hold } = readChrootState(config.paths, name);
  return hold?.until === undefined ? null : Date.parse(hold.until);
}

/** Why a change does not wait for the end of quiet hours, in words; null when it does. */
function whyAtOnce({ config }: Site, chroot: Chroot): string | null {
  const current = currentOf(config.paths, chroot.name);
  if (current === null) return 'there is no image yet';
  if (current.damagedAt !== null) return 'the present image is damaged';
  const { urgent } = config.schedule;
  const before = urgent.length === 0 ? undefined : readRecord(config.paths, chroot.name, current.id)?.packages;
  if (before === undefined) return null;
  const changed = urgentChange(before, readPackages(chroot).packages, urgent);
  return changed === undefined ? null : `${changed} is urgent`;
}
