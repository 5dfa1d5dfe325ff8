import * as z from 'zod';
import type { HistoryEntry } from '../store/history.ts';
import type { Status } from './status.ts';

export const buildRequest = z.object({
  /** Names or paths; empty with scope `all`. */
  names: z.array(z.string()),
  scope: z.enum(['named', 'all']),
  /** `force` overrides unchanged inputs, quarantine, hold and package state, never locks. */
  force: z.enum(['force', 'if changed']),
  /** Whether to wait for dpkg, apt or another build. */
  locks: z.enum(['wait', 'no wait']),
});

export const revertRequest = z.object({
  name: z.string(),
  /** A generation's id, null for the previous one. */
  to: z.string().nullable(),
});

export const releaseRequest = z.object({ name: z.string() });

export const holdRequest = z.object({
  name: z.string(),
  /** ISO 8601: when it ends by itself; null for never. */
  until: z.iso.datetime().nullable(),
});

/** How far something that was asked for has come. */
export const progress = z.object({
  name: z.string(),
  text: z.string(),
  percent: z.number().nullable(),
});

/** What became of something that was asked for. */
export const outcome = z.object({
  name: z.string(),
  kind: z.enum([
    'published',
    /** Nothing has changed since the image was built. */
    'unchanged',
    /** In quarantine or on hold. */
    'skipped',
    /** A check failed; what was live is live. */
    'rejected',
    'failed',
    /** Something else has what it needs. */
    'busy',
    'cancelled',
    'reverted',
    'released',
    'held',
    /** There is no such chroot. */
    'unknown',
  ]),
  /** In words, for the person who asked. */
  message: z.string(),
  /** The generation it is about. */
  id: z.string().nullable(),
  /** What the person should know though it went well, a line each. */
  notes: z.array(z.string()).readonly().exactOptional(),
});

export type BuildRequest = z.infer<typeof buildRequest>;
export type RevertRequest = z.infer<typeof revertRequest>;
export type HoldRequest = z.infer<typeof holdRequest>;
export type Progress = z.infer<typeof progress>;
export type Outcome = z.infer<typeof outcome>;

/** What a person can ask of whoever looks after the chroots: the daemon by its socket, or this process. */
export type Control = {
  status: () => Promise<Status>;
  history: (name?: string) => Promise<HistoryEntry[]>;
  /** Resolves when each chroot's build is done or refused. `signal` ends the waiting, not the build. */
  build: (request: BuildRequest, onProgress: (progress: Progress) => void, signal?: AbortSignal) => Promise<Outcome[]>;
  revert: (request: RevertRequest) => Promise<Outcome>;
  release: (name: string) => Promise<Outcome>;
  /** Nothing is published for it until `release`, `build` or that moment. */
  hold: (request: HoldRequest) => Promise<Outcome>;
};

const EXIT: Record<Outcome['kind'], 0 | 1 | 2 | 3> = {
  published: 0,
  unchanged: 0,
  reverted: 0,
  released: 0,
  held: 0,
  skipped: 0,
  failed: 1,
  busy: 1,
  cancelled: 1,
  unknown: 2,
  rejected: 3,
};

/**
 * Exit status of a command: 0 done or nothing to do, 1 failed, 2 wrong usage, 3 a check rejected an image. Of several,
 * the one that says most about the images: rejected, then failed, then unknown.
 */
export function exitCodeOf(outcomes: readonly Outcome[]): 0 | 1 | 2 | 3 {
  const codes = outcomes.map(({ kind }) => EXIT[kind]);
  return ([3, 1, 2] as const).find((code) => codes.includes(code)) ?? 0;
}
