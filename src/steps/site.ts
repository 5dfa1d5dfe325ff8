import type { ImageWriter } from '../build/incremental.ts';
import type { Contents } from '../checks/sample.ts';
import type { Chroot } from '../chroot/chroot.ts';
import type { PackageLock } from '../chroot/package-lock.ts';
import type { ChrootConfig, Config } from '../config/config.ts';
import type { Log, LogEvent } from '../report/log.ts';
import type { Notice } from '../report/notices/notice.ts';
import type { LiveLook } from '../serve/live-export.ts';
import type { Generation } from '../store/generation.ts';
import type { Tree } from '../tree/look.ts';

/** What every step and every undo works with; after a crash it is made anew from the config. */
export type Site = {
  config: Config;
  log: Log;
  tree: Tree;
  contents: Contents;
  incremental: ImageWriter;
  /** Tells people and programs; returns at once, and drops what says nothing new. */
  notify: (notice: Notice) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
};

/** A candidate that has been built: its record, so far without a verdict. */
export type Candidate = Generation & { inputs: string };

/** `any`: whatever the config says and is right; `full`: all of it anew. */
export type Engine = { kind: 'any' } | { kind: 'full'; why: string };

/** A running rebuild and what it has gathered. */
export type RebuildJob = Site & {
  chroot: Chroot;
  settings: ChrootConfig;
  /** The new generation's id. */
  id: string;
  /** Why it is built, in words. */
  reason: string;
  /** A forced build of unchanged inputs takes the current generation's place and leaves `.old` alone. */
  twin: 'twin' | 'new';
  signal: AbortSignal;
  /** Told to whoever waits: what goes on, and percents where they are known. */
  onProgress: (text: string, percent: number | null) => void;
  packageLock: PackageLock | null;
  /** What is built in the chroot's place, where it is cleaned up: `readSince` as of the manifest's walk. */
  view: { root: string; readSince: string; close: () => Promise<void> } | null;
  candidate: Candidate | null;
  /** Whether the former image may be built upon, and why not. */
  engine: Engine;
  /** Files whose contents an incremental build has written, as the manifest has them (latin1). */
  written: readonly string[];
  /** How clients' way to the image looked before anything changed for them. */
  liveBefore: LiveLook;
  /** What a person should know of the image though it is published, a line each. */
  notes: string[];
};

/** Says something in the log, and to the person who asked for the image. */
export function note(
  { log, notes }: Pick<RebuildJob, 'log' | 'notes'>,
  event: LogEvent,
  name: string,
  text: string,
): void {
  const message = `${name}: ${text}`;
  notes.push(message);
  log.warn(event, { name }, message);
}

/** The tree that an image is made of. */
export function sourceOf({ chroot, view }: Pick<RebuildJob, 'chroot' | 'view'>): string {
  return view?.root ?? chroot.path;
}

/** The candidate of a job whose build step is done. */
export function candidateOf(job: RebuildJob): Candidate {
  if (job.candidate === null) throw new Error('internal error: no candidate has been built');
  return job.candidate;
}
