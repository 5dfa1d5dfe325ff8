import os from 'node:os';
import * as z from 'zod';
import { NOTICE_KINDS, type NoticeKind } from '../../config/notice-kinds.ts';

/** Something a person may have to know. */
export type Notice = {
  kind: NoticeKind;
  /** The chroot's; '' for what is the machine's. */
  name: string;
  /** The generation it is about. */
  id: string | null;
  /** In words. */
  message: string;
  /** Of one kind and name, what is told once: as long as this stays the same there is nothing new. */
  state: string;
};

export const tidings = z.object({
  /** Of its own for each: a receiver that gets it twice, as after a crash, can tell. */
  key: z.string(),
  kind: z.enum(NOTICE_KINDS),
  name: z.string(),
  id: z.string().nullable(),
  message: z.string(),
  /** ISO 8601, UTC: when it happened. */
  at: z.string(),
});

/** A notice on its way to a receiver. */
export type Tidings = z.infer<typeof tidings>;

/** What programs and plain webhooks get, as JSON. */
export function eventOf({ key, kind, name, id, message, at }: Tidings): Readonly<Record<string, string | null>> {
  return { program: 'ltsp-autoimage', host: os.hostname(), event: kind, name, id, message, at, key };
}

/** A few words, for a subject. */
export function titleOf({ kind, name }: Tidings): string {
  return [name, TITLES[kind], `(${os.hostname()})`].filter((part) => part !== '').join(' ');
}

const TITLES: Readonly<Record<NoticeKind, string>> = {
  published: 'has a new image',
  rejected: 'has an image that failed its checks',
  reverted: 'is back on another image',
  quarantined: 'is not built',
  stuck: 'waits for more than a day',
  'disk-low': 'The disk for images is nearly full',
  'well-again': 'is well again',
};
