/** What one check of one image found. One that did not pass rejects the image. */
export type CheckResult = {
  name: string;
  passed: boolean;
  /** In words; what failed and where. */
  message: string;
  /** What a person should know though the image passed, a line each. */
  warnings: string[];
  /** Milliseconds. */
  took: number;
};

/** The record of a generation, beside its image as `.generations/NAME/ID.json`. */
export type Generation = {
  /** UTC time to the second, `20260131T043000Z`: sortable and unique within a name. */
  id: string;
  name: string;
  /** SHA-256 of the image file, lower-case hex. */
  digest: string;
  /** Bytes. */
  size: number;
  /** Checksums of the image's pieces, see `sums.ts`; empty where nobody made them. */
  sums: string;
  /** ISO 8601, UTC. */
  builtAt: string;
  /** `foreign`: an image that another program made, taken up as it was found. */
  builder: 'mksquashfs' | 'incremental' | 'foreign';
  /** In words: what was taken over from the former image, or why nothing was. */
  how: string;
  /** Bytes of packed data that no file needs; an incremental build leaves some behind. */
  deadBytes: number;
  /** ISO 8601: when all contents were last compared with those of the chroot, or packed anew; null: never. */
  verifiedAt: string | null;
  /** Digest of the inputs it was made of; null for a foreign image. */
  inputs: string | null;
  /** Why it was built, in words. */
  reason: string;
  compression: string;
  /** Entries in the tree. */
  entries: number;
  /** Package name (`libc6:amd64` where dpkg names the architecture) → version, as dpkg knew them when the tree was read. */
  packages: Record<string, string>;
  /** Kernel versions in the image's boot directory. */
  kernels: string[];
  checks: CheckResult[];
  /** Milliseconds by step. */
  took: Record<string, number>;
  /** ISO 8601: when another generation took its place as the current one; null while it is current. */
  replacedAt: string | null;
  /** ISO 8601: when its image was found to have other bytes than were checked; null while it is sound. */
  damagedAt: string | null;
};
