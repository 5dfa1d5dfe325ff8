/** Why a chroot is to be looked at. Events are hints: what counts is the state that is found then. */
export type Cause =
  /** dpkg's or apt's files; the path is relative to the chroot. */
  | { kind: 'packages'; path: string }
  /** One of `watch.paths`. */
  | { kind: 'path'; path: string }
  /** LTSP's config, the excludes file or ours; absolute. */
  | { kind: 'config'; path: string }
  /** A flag file. */
  | { kind: 'trigger'; force: 'force' | 'if changed' }
  /** `ltsp-autoimage build`. */
  | { kind: 'command'; force: 'force' | 'if changed' }
  | { kind: 'schedule' }
  | { kind: 'start' }
  | { kind: 'appeared' }
  /** The regular look found that stat says something else of a watched path. */
  | { kind: 'look' }
  /** It changed while it was built. */
  | { kind: 'again' }
  /** The image that clients get has other bytes than were checked. */
  | { kind: 'damaged' };

/** `at`: milliseconds since the epoch. */
export type Event = { name: string; cause: Cause; at: number };

/** A cause in words, for a log or a person. */
export function describeCause(cause: Cause): string {
  switch (cause.kind) {
    case 'packages':
      return `a package changed (${cause.path})`;
    case 'path':
      return `${cause.path} changed`;
    case 'config':
      return `the config changed (${cause.path})`;
    case 'trigger':
      return 'the flag file was touched';
    case 'command':
      return 'it was asked for';
    case 'schedule':
      return 'the nightly look';
    case 'start':
      return 'the daemon started';
    case 'appeared':
      return 'the chroot appeared';
    case 'look':
      return 'the regular look found a change';
    case 'again':
      return 'it changed while it was built';
    case 'damaged':
      return 'the image that clients get is damaged';
  }
}

/** True when a person asked, who does not wait for a quiet period. */
export function isAsked({ kind }: Cause): boolean {
  return kind === 'trigger' || kind === 'command';
}

/** True when what is to be done does not wait for a quiet period: a person waits, or clients run into something bad. */
export function isUrgent(cause: Cause): boolean {
  return isAsked(cause) || cause.kind === 'damaged';
}
