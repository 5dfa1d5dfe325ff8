import type { Chroot } from '../chroot/chroot.ts';
import { holdNow } from '../decide/hold.ts';
import { describeMoment } from '../decide/moment.ts';
import { messageOf } from '../errors.ts';
import type { ChrootStatus, ClientStatus, ImageStatus } from '../report/status.ts';
import type { Site } from '../steps/site.ts';
import { type ChrootState, readChrootState } from '../store/chroot-state.ts';
import type { Generation } from '../store/generation.ts';
import { type LinkTarget, readLinks } from '../store/links.ts';
import { generations } from '../store/records.ts';
import type { Activity } from './caretaker.ts';

/**
 * What `status` says of one chroot: what is on disk, and what its caretaker does. Where the disk cannot be read that is
 * what it says: the other chroots have their status all the same.
 */
export function chrootStatus(
  site: Site,
  chroot: Chroot,
  activity: Activity | { kind: 'absent' },
  clients: ClientStatus[] = [],
): ChrootStatus {
  try {
    return { ...statusOnDisk(site, chroot, activity), clients };
  } catch (error) {
    return { ...chroot, current: null, previous: null, clients, state: 'waiting', reason: messageOf(error) };
  }
}

function statusOnDisk(
  site: Site,
  chroot: Chroot,
  activity: Activity | { kind: 'absent' },
): Omit<ChrootStatus, 'clients'> {
  const { paths } = site.config;
  const { name, path } = chroot;
  const links = readLinks(paths, name);
  const known =
    links.current.kind === 'absent' && links.previous.kind === 'absent' ? [] : generations(paths, name).generations;
  const current = imageStatus(links.current, known);
  const previous = imageStatus(links.previous, known);
  const remembered = readChrootState(paths, name);
  const state = { ...remembered, hold: holdNow(remembered.hold, site.now()) };
  const hold = state.hold === null ? {} : { hold: state.hold };
  const base = { name, path, current, previous, ...hold };
  switch (activity.kind) {
    case 'absent':
      return { ...base, state: 'absent', reason: 'there is no such chroot any more; its images stay' };
    case 'building': {
      const progress = { text: activity.text, percent: activity.percent };
      return { ...base, state: 'building', reason: activity.text, progress };
    }
    case 'resting':
    case 'waiting': {
      const nextLook = activity.until === null ? {} : { nextLook: new Date(activity.until).toISOString() };
      return { ...base, state: 'waiting', reason: activity.reason, ...nextLook };
    }
    case 'looking':
    case 'idle':
      return { ...base, ...atRest(current, known, state) };
  }
}

function atRest(
  current: ImageStatus | null,
  known: readonly Generation[],
  state: ChrootState,
): Pick<ChrootStatus, 'state' | 'reason'> {
  // what a person said counts more than what was found before
  if (state.hold !== null && current !== null) {
    const until = state.hold.until === undefined ? '' : ` until ${describeMoment(state.hold.until)}`;
    return { state: 'current', reason: `on hold${until}: ${state.hold.reason}` };
  }
  const bad = state.quarantine.find(({ inputs }) => inputs === state.looked?.inputs);
  if (bad !== undefined) return { state: 'quarantined', reason: bad.reason };
  if (current === null) return { state: 'never-built', reason: 'there is no image yet' };
  const inputs = known.find(({ id }) => id === current.id)?.inputs;
  if (state.looked !== null && state.looked.inputs !== inputs) {
    return { state: 'waiting', reason: 'it changed since its image was built' };
  }
  return { state: 'current', reason: 'nothing changed since it was built' };
}

function imageStatus(target: LinkTarget, known: readonly Generation[]): ImageStatus | null {
  if (target.kind === 'absent') return null;
  if (target.kind === 'foreign')
    return { id: 'foreign', digest: '', size: target.size, builtAt: '', builder: 'foreign' };
  const record = known.find(({ id }) => id === target.id);
  // its record is damaged, but clients have it all the same
  if (record === undefined) return { id: target.id, digest: '', size: 0, builtAt: '', builder: 'unknown' };
  const { id, digest, size, builtAt, builder } = record;
  return { id, digest, size, builtAt, builder };
}
