import { describeMoment } from '../decide/moment.ts';
import { printable } from './printable.ts';
import type { ChrootStatus, ImageStatus, Status } from './status.ts';

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const DAY = 86_400_000;

/**
 * How things are, in plain sentences, the most important one first.
 * @param now milliseconds since the epoch
 */
export function statusSentences({ daemon, config, chroots }: Status, now: number): string[] {
  const sentences = [imagesSentence(chroots, now), ...clientsSentence(chroots, now)];
  if (!config.ok) {
    const why = config.error === undefined ? '' : `: ${config.error}`;
    sentences.push(`The former config stays in force, the present one was refused${why}`);
  }
  if (!daemon.running) sentences.push('The daemon is not running: changes are not noticed.');
  return sentences.map(printable);
}

function imagesSentence(chroots: readonly ChrootStatus[], now: number): string {
  const present = chroots.filter(({ state }) => state !== 'absent');
  const notable = present.filter(({ state, hold }) => state !== 'current' || hold !== undefined);
  const [first, ...others] = notable;
  if (present.length === 0) return 'There is no chroot to make an image of.';
  if (first === undefined) {
    return present.length === 1
      ? `The image of ${present[0]?.name} is current.`
      : `All ${present.length} images are current.`;
  }
  if (others.length === 0) return `${first.name}: ${chrootSentence(first, now)}`;
  const counts = [...counted(notable)].map(([what, count]) => `${count} ${what}`);
  const current = present.length - notable.length;
  return `${current} of ${present.length} images ${current === 1 ? 'is' : 'are'} current: ${counts.join(', ')}.`;
}

/** Clients stay on the image they came up with until they restart. */
function clientsSentence(chroots: readonly ChrootStatus[], now: number): string[] {
  const clients = chroots.flatMap((chroot) =>
    chroot.clients.map((client) => ({ ...client, isOld: client.image !== chroot.current?.id })),
  );
  if (clients.length === 0) return [];
  const all = clients.length === 1 ? '1 client runs' : `${clients.length} clients run`;
  const old = clients.filter(({ isOld }) => isOld);
  if (old.length === 0) return [`${all}.`];
  const [{ image, builtAt } = { image: '', builtAt: '' }] = old;
  const same = builtAt !== '' && old.every((one) => one.image === image);
  const which = same ? `the image of ${describeDay(builtAt, now)}` : 'older images';
  return [`${all}, ${old.length} still on ${which}.`];
}

function chrootSentence(chroot: ChrootStatus, now: number): string {
  const live = liveSentence(chroot.current, now);
  switch (chroot.state) {
    case 'quarantined':
      return `the last change was rejected; ${live}.`;
    case 'building':
      return `a new image is being built; ${live}.`;
    case 'waiting':
      return `${chroot.reason}; ${live}.`;
    case 'never-built':
      return 'there is no image yet.';
    case 'current':
    case 'absent':
      return chroot.hold?.until === undefined
        ? `on hold until you release or build it; ${live}.`
        : `on hold until ${describeMoment(chroot.hold.until)}; ${live}.`;
  }
}

function liveSentence(current: ImageStatus | null, now: number): string {
  if (current === null) return 'there is no image yet';
  if (current.builtAt === '') return 'the image of another program is live';
  return `the image of ${describeDay(current.builtAt, now)} is live`;
}

function counted(chroots: readonly ChrootStatus[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { state, hold } of chroots) {
    const what = WORDS[state === 'current' && hold !== undefined ? 'held' : state];
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return counts;
}

const WORDS: Record<ChrootStatus['state'] | 'held', string> = {
  quarantined: 'rejected',
  building: 'being built',
  waiting: 'waiting',
  'never-built': 'without an image',
  held: 'on hold',
  current: 'current',
  absent: 'gone',
};

/** `today 06:30`, `Tuesday` within the last six days, else `28 Nov 06:30`; in the machine's time zone. */
function describeDay(iso: string, now: number): string {
  const moment = describeMoment(iso);
  const age = now - Date.parse(iso);
  const today = describeMoment(new Date(now).toISOString());
  const day = (text: string): string => text.slice(0, text.lastIndexOf(' '));
  if (day(moment) === day(today) && age < DAY) return `today ${moment.slice(moment.lastIndexOf(' ') + 1)}`;
  if (age >= 0 && age < 6 * DAY) return WEEKDAYS[new Date(iso).getDay()] ?? moment;
  return moment;
}
