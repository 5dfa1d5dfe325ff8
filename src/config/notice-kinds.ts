/** What people and programs can be told of. */
export const NOTICE_KINDS = [
  /** A new image is live. */
  'published',
  /** A new image failed a check and never was live. */
  'rejected',
  /** Clients got another image and got the former one back: by hand, by a check of what is live, or for a damaged one. */
  'reverted',
  /** A chroot changed to inputs of which is known that their image is bad; it is not built. */
  'quarantined',
  /** An image that is due has not come about for more than a day. */
  'stuck',
  /** There is no room for another image. */
  'disk-low',
  /** What one of the others told of is over. */
  'well-again',
] as const;

export type NoticeKind = (typeof NOTICE_KINDS)[number];
