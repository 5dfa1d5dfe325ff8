import * as z from 'zod';
import { statusSentences } from './status-sentences.ts';
import { statusTable } from './status-table.ts';
import { wrapped } from './wrapped.ts';

const imageStatus = z.object({
  /** Generation, or `foreign` for an image that another program made. */
  id: z.string(),
  /** SHA-256, lower-case hex; empty for a foreign image. */
  digest: z.string(),
  /** Bytes. */
  size: z.number(),
  /** ISO 8601, UTC; empty for a foreign image. */
  builtAt: z.string(),
  builder: z.string(),
});

const clientStatus = z.object({
  /** The generation that the client runs on; `removed` for one that is not there any more. */
  image: z.string(),
  /** ISO 8601, UTC: when that was built; empty where nobody knows. */
  builtAt: z.string(),
  /** IPv4 or IPv6. */
  address: z.string(),
  /** ISO 8601, UTC: when it connected. */
  since: z.string(),
});

const chrootStatus = z.object({
  name: z.string(),
  path: z.string(),
  state: z.enum(['current', 'building', 'waiting', 'quarantined', 'never-built', 'absent']),
  /** In words. */
  reason: z.string(),
  progress: z.object({ text: z.string(), percent: z.number().nullable() }).exactOptional(),
  current: imageStatus.nullable(),
  previous: imageStatus.nullable(),
  /** Those that run on its images over nbd-server. */
  clients: z.array(clientStatus),
  /** Set while nothing is published until `release` or `build`, or until a moment (ISO 8601). */
  hold: z.object({ since: z.string(), reason: z.string(), until: z.string().exactOptional() }).exactOptional(),
  /** ISO 8601: when a waiting chroot is looked at again. */
  nextLook: z.string().exactOptional(),
});

/** What `status --json` prints and the control socket answers. */
export const statusSchema = z.object({
  daemon: z.object({
    running: z.boolean(),
    pid: z.number().exactOptional(),
    /** ISO 8601, UTC. */
    since: z.string().exactOptional(),
    version: z.string(),
  }),
  config: z.object({ ok: z.boolean(), error: z.string().exactOptional() }),
  chroots: z.array(chrootStatus),
});

export type Status = z.infer<typeof statusSchema>;
export type ChrootStatus = z.infer<typeof chrootStatus>;
export type ClientStatus = z.infer<typeof clientStatus>;
export type ImageStatus = z.infer<typeof imageStatus>;

export type Rendering = {
  /** Milliseconds since the epoch. */
  now: number;
  /** Columns of the terminal. */
  width: number;
  colour: 'colour' | 'plain';
};

/** The status for a person: first how things are in plain sentences, then a table. Ends with a newline. */
export function renderStatus(status: Status, rendering: Rendering): string {
  const sentences = statusSentences(status, rendering.now).flatMap((one) => wrapped(one, rendering.width));
  const rows = status.chroots.length === 0 ? [] : ['', ...statusTable(status.chroots, rendering)];
  return `${[...sentences, ...rows].join('\n')}\n`;
}
