import fs from 'node:fs';
import { hasCode, messageOf } from '../errors.ts';
import { type Contents, readContents } from '../squashfs/contents.ts';
import type { FileData } from '../squashfs/inode.ts';
import { contentsOfImage } from '../squashfs/known-contents.ts';
import { SquashfsError } from '../squashfs/squashfs-error.ts';
import { type ImageTree, readTree } from '../squashfs/tree.ts';
import { copyImage, type WrittenImage, writeImage } from '../squashfs/write-image.ts';
import { secondsOf } from '../squashfs/write-tables.ts';
import { MissingLibraryError } from '../system/compressors.ts';
import { together } from '../system/together.ts';
import { displayEntry } from '../tree/display.ts';
import type { Entry } from '../tree/entry.ts';
import { type Look, type LookRequest, lookAt, type Seen } from '../tree/look.ts';
import type { Compression } from './compression.ts';
import { haveChangeTimes } from './incremental/change-times.ts';
import { Doubt } from './incremental/doubt.ts';
import { type Former, type FormerGeneration, openFormer } from './incremental/former.ts';
import { locate } from './incremental/locate.ts';
import { type Plan, plan } from './incremental/plan.ts';
import { proveImage } from './incremental/proof.ts';
import { openSource, type Source } from './incremental/source.ts';
import { compareKept, type Extent, type KeptFile } from './incremental/verify.ts';
import { submountsOf } from './submounts.ts';

export type { FormerGeneration } from './incremental/former.ts';
export type { Extent } from './incremental/verify.ts';

export type IncrementalRequest = {
  /** The tree that becomes the image, as a look has it; its manifest is written as well. */
  look: LookRequest & { manifestFile: string };
  /** The chroot that the tree is, or is a view of. */
  chroot: string;
  former: FormerGeneration | null;
  /** The image file to make; a former one is replaced. */
  target: string;
  compression: Compression;
  /** `stat`: change times say what is unchanged; `content`: all contents are compared. */
  trust: 'stat' | 'content';
  /** With `stat`: which of the unchanged files are compared nevertheless. */
  verify: Extent;
  /** Unused data in the new image, as a share of what is used, up to which it is worth keeping. */
  deadLimit: number;
  /** When the image is made, in seconds since the epoch. */
  time: number;
  /** A process of its own gives way to everything else. */
  nice: boolean;
};

export type IncrementalStats = {
  /** Files (inodes), by whether their content was taken over or read. */
  kept: number;
  written: number;
  /** Files and bytes whose content was compared with the former image. */
  compared: { files: number; bytes: number };
  /** Bytes of packed data in the image, what was appended of it, and what no file needs any more. */
  dataBytes: number;
  appendedBytes: number;
  deadBytes: number;
};

export type IncrementalResult =
  | {
      kind: 'built';
      look: Look;
      /** Files that were read, latin1; of very many the first. */
      written: readonly string[];
      stats: IncrementalStats;
    }
  /** Nothing was made, since an image from the former one might not be right, or not be worth it: `why`, in words. */
  | { kind: 'full'; why: string };

/** Makes an image from the former one where that may take its time; see `buildIncrementally`. */
export type ImageWriter = (request: IncrementalRequest, signal?: AbortSignal) => Promise<IncrementalResult>;

/**
 * Makes an image from the former one in a single pass: walks the tree, copies the former image beside that, writes the
 * data of what changed behind its data, and all tables anew. The result has the tree that a full build would have. Any
 * doubt whether it would ends in `full`. The file is complete when this returns, and not yet durable; its digest is the
 * caller's to take, since its first bytes are written last, and to write into the manifest (`bindManifest`). Unless it
 * is built no part of image and manifest stays.
 * @throws VoidError when the tree changed while it was read; SquashfsError 'limit' when no squashfs can hold it;
 * UserError when something can't be read or written; CancelledError
 */
export const buildIncrementally: ImageWriter = async (request, signal = new AbortController().signal) => {
  try {
    return await attempt(request, signal);
  } catch (error) {
    for (const file of [request.target, request.look.manifestFile]) fs.rmSync(file, { force: true });
    if (isDoubt(error)) return { kind: 'full', why: messageOf(error) };
    throw error;
  }
};

function isDoubt(error: unknown): boolean {
  if (error instanceof SquashfsError) return error.problem !== 'limit';
  return error instanceof Doubt || error instanceof MissingLibraryError;
}

async function attempt(request: IncrementalRequest, signal: AbortSignal): Promise<IncrementalResult> {
  const generation = request.former;
  if (generation === null) throw new Doubt('there is no former image');
  const former = openFormer(generation, request.compression);
  try {
    const source = openSource(request.look.root);
    try {
      // the first two work in other threads while this one walks
      const [, , unchanged] = await together<[unknown, unknown, Unchanged]>(signal, [
        () => copyFormer(generation.image, request.target),
        (stop) => proveImage(generation.image, generation, stop),
        (stop) => findUnchanged(request, former, source, stop),
      ]);
      return await write(request, { former, source, unchanged }, signal);
    } finally {
      source.close();
    }
  } finally {
    former.image.close();
  }
}

async function copyFormer(image: string, target: string): Promise<void> {
  try {
    await copyImage(image, target);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (hasCode(cause, 'EIO')) throw new Doubt(messageOf(error), { cause });
    throw error;
  }
}

/** What of a tree is as it was when the former image was made. */
type Unchanged = {
  seen: Seen;
  tree: ImageTree;
  contents: Contents;
  /** By index in the tree: the index in the former image of what has the same content; -1 for what is to be read. */
  places: Int32Array;
  /** Whether what is in `places` also has the attributes that it had. */
  attributes: 'same' | 'unknown';
  compared: { files: number; bytes: number };
};

async function findUnchanged(
  request: IncrementalRequest,
  former: Former,
  source: Source,
  signal: AbortSignal,
): Promise<Unchanged> {
  const seen = lookAt(request.look);
  const tree = readTree(former.image);
  const contents = readContents(former.image);
  const planned = planFor(former, seen);
  const places = locate(planned.kept, seen.entries, tree);
  const trusted = request.trust === 'stat' && haveChangeTimes([request.chroot, ...submountPaths(request.chroot)]);
  const { different, files, bytes } = await compareKept(filesToCompare(seen, tree, places, trusted), {
    extent: trusted ? request.verify : { kind: 'all' },
    access: source.access,
    contents,
    signal,
  });
  const [first] = different;
  if (trusted && first !== undefined) {
    throw new Doubt(`${displayEntry(first.entry.path)} has another content than its times say`);
  }
  for (const { index } of different) places[index] = -1;
  return { seen, tree, contents, places, attributes: trusted ? 'same' : 'unknown', compared: { files, bytes } };
}

function submountPaths(chroot: string): string[] {
  return submountsOf(chroot).map((submount) => `${chroot}/${submount}`);
}

function planFor({ manifest }: Former, { entries, lines }: Seen): Plan {
  try {
    return plan(manifest, { entries, lines });
  } catch (error) {
    throw new Doubt('the manifest of the former image is damaged', { cause: error });
  }
}

/** Each inode once. What changes by itself may do so while it is compared. */
function filesToCompare({ entries }: Seen, tree: ImageTree, places: Int32Array, trusted: boolean): KeptFile[] {
  const inodes = new Set<string>();
  return entries.flatMap((entry, index) => {
    const place = places[index] ?? -1;
    if (entry.type !== 'file' || entry.size === 0 || place === -1 || (trusted && entry.ignored)) return [];
    const inode = `${entry.dev} ${entry.ino}`;
    if (entry.nlink > 1 && inodes.has(inode)) return [];
    if (entry.nlink > 1) inodes.add(inode);
    return [{ index, entry, data: () => keptData(tree, place, entry) }];
  });
}

type Findings = { former: Former; source: Source; unchanged: Unchanged };

async function write(
  request: IncrementalRequest,
  { former, source, unchanged }: Findings,
  signal: AbortSignal,
): Promise<IncrementalResult> {
  const { seen, tree, contents, places, attributes, compared } = unchanged;
  const placeOf = (index: number): number => places[index] ?? -1;
  let kept = 0;
  const read = new Set<number>();
  const written = await writeImage({
    base: former.image,
    target: request.target,
    entries: seen.entries,
    fileSource: (entry, index) => {
      const place = placeOf(index);
      if (place === -1) {
        read.add(index);
        return { kind: 'read' };
      }
      return {
        kind: 'kept',
        data: () => {
          kept++;
          return keptData(tree, place, entry);
        },
      };
    },
    xattrs: (entry, index) => {
      const place = placeOf(index);
      if (place === -1 || attributes === 'unknown') return source.xattrs(entry);
      const list = tree.inode(place).xattrs;
      return list === null ? [] : tree.xattrs.list(list);
    },
    access: source.access,
    known: contentsOfImage(tree, contents),
    unused: notKept(tree, places),
    time: request.time,
    signal,
  });
  requireWorthIt(written, request.deadLimit);
  const { dataBytes, appendedBytes, deadBytes } = written;
  return {
    kind: 'built',
    look: seen.look,
    written: named(read, seen.entries),
    stats: { kept, written: read.size, compared, dataBytes, appendedBytes, deadBytes },
  };
}

/** @throws Doubt when the image has another file there than the manifest says */
function keptData(tree: ImageTree, place: number, entry: Entry): FileData {
  const inode = tree.inode(place);
  if (inode.type !== 'file' || inode.data.size !== entry.size || inode.mtime !== secondsOf(entry.mtime)) {
    throw new Doubt(`the former image has another ${displayEntry(entry.path)} than its manifest`);
  }
  return inode.data;
}

function* notKept(tree: ImageTree, places: Int32Array): Generator<FileData, void> {
  const kept = new Uint8Array(tree.count);
  for (const place of places) if (place !== -1) kept[place] = 1;
  for (let place = 0; place < tree.count; place++) {
    if (kept[place] === 1 || tree.fileSize(place) === null) continue;
    const inode = tree.inode(place);
    if (inode.type === 'file') yield inode.data;
  }
}

/** An image with unused data is larger than one built in full would be, by as much. */
function requireWorthIt({ dataBytes, deadBytes }: WrittenImage, deadLimit: number): void {
  if (deadBytes <= deadLimit * (dataBytes - deadBytes)) return;
  const share = Math.round((100 * deadBytes) / dataBytes);
  throw new Doubt(`${share} % of the data in the image would be unused`);
}

/** Chars of all names together; the reply of a process has its limit. */
const MOST_CHARS = 2_000_000;

function named(indexes: Iterable<number>, entries: readonly Entry[]): string[] {
  const paths: string[] = [];
  let chars = 0;
  for (const index of indexes) {
    const { path } = entries[index] ?? { path: '' };
    chars += path.length;
    if (chars > MOST_CHARS) break;
    paths.push(path);
  }
  return paths;
}
