/** What it took until nbd-server had an export: nothing, SIGHUP, a start, or a restart of its main process alone. */
export type Means = 'itself' | 'reload' | 'start' | 'restart';

/**
 * How nbd-server took a new export, or did not:
 * - `served`: clients get it
 * - `refused`: the server has the export and does not serve it to this machine: not allowed, or its image cannot be read
 * - `by-hand`: all goes on as before, but a person has to do something
 * - `down`: new clients get nothing any more; `clients` that were connected before are still served
 */
export type Announcement =
  | { kind: 'served'; by: Means }
  | { kind: 'refused'; by: Means; why: string }
  | { kind: 'by-hand'; why: string; todo: string }
  | { kind: 'down'; why: string; todo: string; clients: number };

/** One line for the log or the terminal. `name` is the export's, such as /opt/ltsp/amd64. */
export function announcementLine(name: string, announcement: Announcement): string {
  switch (announcement.kind) {
    case 'served':
      return `nbd-server ${BY[announcement.by]} ${name}`;
    case 'refused':
      return `nbd-server has the export ${name}, but this machine cannot open it: ${announcement.why}`;
    case 'by-hand':
    case 'down':
      return `cannot let nbd-server serve ${name}: ${announcement.why} (${announcement.todo})`;
  }
}

const BY: Record<Means, string> = {
  itself: 'serves',
  reload: 'was told of the new export and serves',
  start: 'was started and serves',
  restart: 'was restarted without losing a client and serves',
};
