import fs from 'node:fs';
import { UserError } from '../errors.ts';
import type { Entry, EntryType } from './entry.ts';

/** What a tree was when it was walked. */
export type Manifest = {
  /** When the walk began, in nanoseconds since the epoch. */
  started: bigint;
  /** The patterns (latin1) by which entries are ignored: an image may have more entries that match them. */
  ignorePatterns: readonly string[];
  entries: readonly Entry[];
};

const HEADER = 'tree manifest 1';

/** A manifest whose entries are still lines, as `manifestLine` makes them. */
export type ManifestLines = {
  started: bigint;
  ignorePatterns: readonly string[];
  lines: readonly string[];
  /** SHA-256 (hex) of the image that was made of the tree, see `bindManifest`; null when nobody said. */
  image: string | null;
};

/**
 * A manifest as text of one char per byte (latin1): header, start, a line for each ignore pattern, a line for each entry
 * with its fields divided by tabs, and a line with their number, so that half a manifest is not taken for a whole. Behind
 * that there may be a line for the image, which is made after the manifest.
 * @param lines those of the entries, where somebody has them already
 */
export function serializeManifest(
  { started, ignorePatterns, entries }: Manifest,
  lines: readonly string[] = entries.map(manifestLine),
): string {
  const head = [HEADER, `started\t${started}`, ...ignorePatterns.map((pattern) => `ignore\t${encoded(pattern)}`)];
  const body = lines.length === 0 ? '' : `${lines.join('\n')}\n`;
  return `${head.join('\n')}\n${body}end\t${entries.length}\n`;
}

/**
 * Reads what `serializeManifest` wrote.
 * @throws UserError with the line that is wrong
 */
export function parseManifest(text: string): Manifest {
  const { started, ignorePatterns, lines } = splitManifest(text);
  const entries = lines.map((line, index) => {
    const entry = parseEntry(line);
    if (entry === undefined) throw malformed(FIRST + ignorePatterns.length + index);
    return entry;
  });
  return { started, ignorePatterns, entries };
}

/** Lines are counted from 1; so many come before the patterns. */
const FIRST = 3;

function splitManifest(text: string): ManifestLines {
  const lines = text.split('\n');
  if (lines[0] !== HEADER) throw malformed(1);
  const [word, startedText = ''] = (lines[1] ?? '').split('\t');
  if (word !== 'started' || !isNumber(startedText)) throw malformed(2);
  let next = 2;
  const ignorePatterns: string[] = [];
  for (; lines[next]?.startsWith('ignore\t') === true; next++) {
    ignorePatterns.push(decoded((lines[next] ?? '').slice('ignore\t'.length)));
  }
  // from behind: entries are as many as all the others together, or more
  const imageLine = /^image\t([0-9a-f]{64})$/.exec(lines.at(-2) ?? '');
  const end = lines.length - (imageLine === null ? 2 : 3);
  const count = end - next;
  if (lines[end] !== `end\t${count}` || lines.at(-1) !== '') {
    throw malformed(firstWrong(lines, next) + 1);
  }
  return { started: BigInt(startedText), ignorePatterns, lines: lines.slice(next, end), image: imageLine?.[1] ?? null };
}

/** Where a manifest that does not end as it should stops being one. */
function firstWrong(lines: readonly string[], from: number): number {
  let at = from;
  while (at < lines.length && parseEntry(lines[at] ?? '') !== undefined) at++;
  return at;
}

/** @throws UserError when it cannot be written */
export function writeManifest(file: string, manifest: Manifest, lines?: readonly string[]): void {
  try {
    fs.writeFileSync(file, serializeManifest(manifest, lines), { encoding: 'latin1', mode: 0o640 });
  } catch (error) {
    throw new UserError(`cannot write the manifest ${file}`, { cause: error });
  }
}

/** @throws UserError when it cannot be read or is not a whole manifest */
export function readManifest(file: string): Manifest {
  try {
    return parseManifest(fs.readFileSync(file, 'latin1'));
  } catch (error) {
    throw new UserError(`cannot read the manifest ${file}`, { cause: error });
  }
}

/**
 * Reads a manifest without looking into its entries.
 * @throws UserError when it cannot be read or is not a whole manifest
 */
export function readManifestLines(file: string): ManifestLines {
  try {
    return splitManifest(fs.readFileSync(file, 'latin1'));
  } catch (error) {
    throw new UserError(`cannot read the manifest ${file}`, { cause: error });
  }
}

/**
 * Writes into a finished manifest which image was made of its tree: what is said of the one is then known of the other.
 * @param digest SHA-256 of the image, lower-case hex
 * @throws UserError when it cannot be written
 */
export function bindManifest(file: string, digest: string): void {
  try {
    fs.appendFileSync(file, `image\t${digest}\n`);
  } catch (error) {
    throw new UserError(`cannot write the manifest ${file}`, { cause: error });
  }
}

/** @throws UserError when it is not one of `manifestLine` */
export function entryOfLine(line: string): Entry {
  const entry = parseEntry(line);
  if (entry === undefined) throw new UserError('cannot read a manifest: one of its lines is not as it was written');
  return entry;
}

const LETTERS: Readonly<Record<EntryType, string>> = {
  file: 'f',
  directory: 'd',
  symlink: 'l',
  block: 'b',
  char: 'c',
  fifo: 'p',
  socket: 's',
};

const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['f', 'file'],
  ['d', 'directory'],
  ['l', 'symlink'],
  ['b', 'block'],
  ['c', 'char'],
  ['p', 'fifo'],
  ['s', 'socket'],
]);

/** One entry as a manifest has it: two entries that are alike in everything have the same line. */
export function manifestLine(entry: Entry): string {
  const { type, mode, uid, gid, size, mtime, ctime, dev, ino, nlink, rdev, ignored, path, target } = entry;
  const numbers = `${mode}\t${uid}\t${gid}\t${size}\t${mtime}\t${ctime}\t${dev}\t${ino}\t${nlink}\t${rdev}`;
  return `${LETTERS[type]}\t${ignored ? 1 : 0}\t${numbers}\t${encoded(path)}\t${encoded(target)}`;
}

function parseEntry(line: string): Entry | undefined {
  const [letter = '', ignored, ...rest] = line.split('\t');
  const type = TYPES.get(letter);
  const numbers = rest.slice(0, 10);
  const [path, target, ...more] = rest.slice(10);
  if (type === undefined || path === undefined || target === undefined || more.length > 0) return undefined;
  if ((ignored !== '0' && ignored !== '1') || !numbers.every(isNumber)) return undefined;
  const [mode = '', uid = '', gid = '', size = '', mtime = '', ctime = '', dev = '', ino = '', nlink = '', rdev = ''] =
    numbers;
  return {
    path: decoded(path),
    type,
    mode: Number(mode),
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    mtime: BigInt(mtime),
    ctime: BigInt(ctime),
    dev: BigInt(dev),
    ino: BigInt(ino),
    nlink: Number(nlink),
    rdev: Number(rdev),
    target: decoded(target),
    ignored: ignored === '1',
  };
}

/** A time before 1970 is negative. */
function isNumber(text: string): boolean {
  return /^-?\d{1,20}$/.test(text);
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n' };
const UNESCAPES: Readonly<Record<string, string>> = { '\\': '\\', t: '\t', n: '\n' };

function encoded(bytes: string): string {
  return /[\\\t\n]/.test(bytes) ? bytes.replace(/[\\\t\n]/g, (char) => ESCAPES[char] ?? char) : bytes;
}

function decoded(text: string): string {
  return text.includes('\\') ? text.replace(/\\(.)/g, (_, char: string) => UNESCAPES[char] ?? char) : text;
}

function malformed(line: number): UserError {
  return new UserError(`line ${line} is not as it was written`);
}
