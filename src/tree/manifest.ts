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

/**
 * A manifest as text of one char per byte (latin1): header, start, a line for each ignore pattern, a line for each entry
 * with its fields divided by tabs, and a last line with their number, so that half a manifest is not taken for a whole.
 */
export function serializeManifest({ started, ignorePatterns, entries }: Manifest): string {
  const lines = [HEADER, `started\t${started}`];
  for (const pattern of ignorePatterns) lines.push(`ignore\t${encoded(pattern)}`);
  for (const entry of entries) lines.push(entryLine(entry));
  lines.push(`end\t${entries.length}`, '');
  return lines.join('\n');
}

/**
 * Reads what `serializeManifest` wrote.
 * @throws UserError with the line that is wrong
 */
export function parseManifest(text: string): Manifest {
  const lines = text.split('\n');
  if (lines[0] !== HEADER) throw malformed(1);
  const [word, startedText = ''] = (lines[1] ?? '').split('\t');
  if (word !== 'started' || !isNumber(startedText)) throw malformed(2);
  let next = 2;
  const ignorePatterns: string[] = [];
  for (; lines[next]?.startsWith('ignore\t') === true; next++) {
    ignorePatterns.push(decoded((lines[next] ?? '').slice('ignore\t'.length)));
  }
  const entries: Entry[] = [];
  for (; next < lines.length; next++) {
    const line = lines[next] ?? '';
    if (line.startsWith('end\t')) break;
    const entry = parseEntry(line);
    if (entry === undefined) throw malformed(next + 1);
    entries.push(entry);
  }
  if (lines[next] !== `end\t${entries.length}` || lines.length !== next + 2) throw malformed(next + 1);
  return { started: BigInt(startedText), ignorePatterns, entries };
}

/** @throws UserError when it cannot be written */
export function writeManifest(file: string, manifest: Manifest): void {
  try {
    fs.writeFileSync(file, serializeManifest(manifest), { encoding: 'latin1', mode: 0o640 });
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

function entryLine(entry: Entry): string {
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
