import { type Change, changesBetween } from './changes.ts';
import { type Difference, differencesFromSource } from './differences.ts';
import { treeDigest } from './digest.ts';
import { displayEntry } from './display.ts';
import type { Entry } from './entry.ts';
import { excludeNothing, excluderOf } from './excludes.ts';
import { manifestLine, readManifest, writeManifest } from './manifest.ts';
import { walk } from './walk.ts';

export type { Change } from './changes.ts';
export type { Difference } from './differences.ts';

/** Which tree, and what of it. Patterns and paths inside it have one char per byte (latin1). */
export type WalkRequest = {
  root: string;
  /** Patterns of mksquashfs -wildcards. */
  excludePatterns: readonly string[];
  /** Patterns of entries that change by themselves: in the image, but not in the digest. */
  ignorePatterns: readonly string[];
  /** Directories, relative to the root, whose contents are left out. */
  skipContents: readonly string[];
};

/** `readSince`: when somebody else began to read the tree, in nanoseconds since the epoch, if that was before the walk. */
export type LookRequest = WalkRequest & { manifestFile?: string; readSince?: string };
export type CompareWalkRequest = WalkRequest & { manifestFile: string };
export type CompareImageRequest = { root: string; manifestFile: string; limit: number };

/** What a tree is now. */
export type Look = {
  /** SHA-256, hex. */
  digest: string;
  entries: number;
  /** Sum of the sizes of all files, each inode once. */
  bytes: number;
  /** When the walk began: nanoseconds since the epoch, in digits. */
  started: string;
};

/** Walks trees where that may take its time. All throw UserError when something cannot be read, CancelledError on `signal`. */
export type Tree = {
  /** Walks a tree; with `manifestFile` what it found is written there. */
  look: (request: LookRequest, signal?: AbortSignal) => Promise<Look>;
  /** Walks a tree again: what changed since the manifest was written. */
  compareWalk: (request: CompareWalkRequest, signal?: AbortSignal) => Promise<Change[]>;
  /** Walks a mounted image: how it differs from the tree of the manifest. What cannot be read in it is a difference. */
  compareImage: (request: CompareImageRequest, signal?: AbortSignal) => Promise<Difference[]>;
};

/** `Tree.look`, at once. */
export function look(request: LookRequest): Look {
  return lookAt(request).look;
}

/** A look with what was seen: the entries, and the lines that the manifest has for them (none without a manifest). */
export type Seen = { look: Look; entries: readonly Entry[]; lines: readonly string[] };

/** `Tree.look`, at once, for who goes on with the entries. */
export function lookAt(request: LookRequest): Seen {
  const started = request.readSince === undefined ? nanosecondsNow() : BigInt(request.readSince);
  const entries = walkOf(request);
  const { manifestFile, ignorePatterns } = request;
  const lines = manifestFile === undefined ? [] : entries.map(manifestLine);
  if (manifestFile !== undefined) writeManifest(manifestFile, { started, ignorePatterns, entries }, lines);
  return {
    look: { digest: treeDigest(entries), entries: entries.length, bytes: bytesOf(entries), started: String(started) },
    entries,
    lines,
  };
}

/** `Tree.compareWalk`, at once. */
export function compareWalk(request: CompareWalkRequest): Change[] {
  const before = readManifest(request.manifestFile);
  const until = nanosecondsNow();
  return changesBetween(before, walkOf(request), until);
}

/** `Tree.compareImage`, at once. */
export function compareImage({ root, manifestFile, limit }: CompareImageRequest): Difference[] {
  const source = readManifest(manifestFile);
  const unreadable: Difference[] = [];
  const onUnreadable = (path: string, error: unknown): void => {
    unreadable.push({ path, message: `${displayEntry(path)} cannot be read (${codeOf(error)})` });
  };
  const ignore = excluderOf(source.ignorePatterns);
  const image = walk(root, { exclude: excludeNothing, ignore, onUnreadable });
  return [...unreadable, ...differencesFromSource(source.entries, image, limit)].slice(0, limit);
}

function walkOf({ root, excludePatterns, ignorePatterns, skipContents }: WalkRequest): Entry[] {
  return walk(root, {
    exclude: excluderOf(excludePatterns),
    ignore: excluderOf(ignorePatterns),
    skipContents: new Set(skipContents),
  });
}

function bytesOf(entries: readonly Entry[]): number {
  const counted = new Set<string>();
  let bytes = 0;
  for (const { type, size, nlink, dev, ino } of entries) {
    if (type !== 'file') continue;
    if (nlink > 1) {
      const key = `${dev} ${ino}`;
      if (counted.has(key)) continue;
      counted.add(key);
    }
    bytes += size;
  }
  return bytes;
}

/** Now, as `readSince` has it. */
export function readingFromNow(): string {
  return String(nanosecondsNow());
}

/** Of the clock that the kernel's time stamps come from, rounded down to milliseconds. */
function nanosecondsNow(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
