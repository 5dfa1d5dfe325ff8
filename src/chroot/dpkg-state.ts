import { UserError } from '../errors.ts';
import type { Chroot } from './chroot.ts';
import { namesInside, readInside } from './open-inside.ts';

/** What dpkg says of a chroot's packages. */
export type PackageState = {
  /** `absent`: the chroot has no dpkg; then there are no packages and nothing is unfinished. */
  dpkg: 'present' | 'absent';
  /** Name, with `:arch` as dpkg has it (`libc6:amd64`), → version, of all packages whose files are there. */
  packages: Record<string, string>;
  /** What dpkg still has to do, in words: "libc6 is half-configured". */
  unfinished: string[];
};

/** Bytes. A full desktop has 5 MB; whatever writes more is no dpkg. */
const STATUS_LIMIT = 128 * 1024 * 1024;

/** States of dpkg in which files are there, but not as they will be when dpkg is done. */
const UNFINISHED: ReadonlySet<string> = new Set([
  'half-installed',
  'unpacked',
  'half-configured',
  'triggers-awaited',
  'triggers-pending',
]);

/**
 * Reads dpkg's database (var/lib/dpkg/status and updates/) of a chroot. What is no entry of a package is passed over.
 * @throws UserError when the database is something that dpkg would not make
 */
export function readPackages(chroot: Chroot): PackageState {
  const status = readInside(chroot.path, 'var/lib/dpkg/status', STATUS_LIMIT);
  if (status.kind === 'absent') return { dpkg: 'absent', packages: {}, unfinished: [] };
  if (status.kind === 'refused') {
    throw new UserError(`cannot read the packages of ${chroot.name}: var/lib/dpkg/status: ${status.why}`);
  }
  const packages = new Map<string, string>();
  const unfinished: string[] = [];
  const known = new Set<string>();
  for (const { name, version, state } of paragraphs(status.data)) {
    known.add(name.replace(/:.*/, ''));
    if (state === 'not-installed' || state === 'config-files') continue;
    if (version !== '') packages.set(name, version);
    if (UNFINISHED.has(state)) unfinished.push(`${name.replace(/:.*/, '')} is ${state}`);
  }
  // dpkg writes here while it works, and folds it into status at its end; names of digits alone are complete files
  const updates = namesInside(chroot.path, 'var/lib/dpkg/updates').filter((name) => /^\d+$/.test(name));
  if (updates.length > 0 && unfinished.length === 0) unfinished.push('dpkg has not finished its work (updates/)');
  if (updates.length === 0) unfinished.push(...lostPackages(chroot, known));
  return { dpkg: 'present', packages: Object.fromEntries(packages), unfinished };
}

/** What a crash or a full disk leaves of status may be empty, or end early: dpkg then has files of packages it knows not. */
function lostPackages({ path }: Chroot, known: ReadonlySet<string>): string[] {
  const listed = namesInside(path, 'var/lib/dpkg/info').flatMap(
    (name) => /^([^:]+)(?::.*)?\.list$/.exec(name)?.[1] ?? [],
  );
  const [first, ...more] = listed.filter((name) => !known.has(name));
  if (first === undefined) return [];
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  return [`var/lib/dpkg/status lacks ${first}${others}, as if it was cut off (the state before is in status-old)`];
}

type Paragraph = { name: string; version: string; state: string };

/** deb822 paragraphs divided by blank lines; only four fields of each are looked at. */
function* paragraphs(data: Buffer): Generator<Paragraph> {
  for (let start = 0; start < data.length; ) {
    const blank = data.indexOf('\n\n', start);
    const end = blank === -1 ? data.length : blank;
    const paragraph = parseParagraph(data.toString('latin1', start, end));
    if (paragraph !== undefined) yield paragraph;
    start = end + 1;
  }
}

function parseParagraph(text: string): Paragraph | undefined {
  const name = fieldOf(text, 'Package');
  const state = fieldOf(text, 'Status').split(' ')[2];
  if (name === '' || state === undefined) return undefined;
  const architecture = fieldOf(text, 'Architecture');
  // as dpkg-query names it: those that may be there for several architectures at once
  const qualified = fieldOf(text, 'Multi-Arch') === 'same' ? `${name}:${architecture}` : name;
  return { name: qualified, version: fieldOf(text, 'Version'), state };
}

function fieldOf(text: string, field: string): string {
  const head = `${field}:`;
  const at = text.startsWith(head) ? 0 : text.indexOf(`\n${head}`) + 1;
  if (at === 0 && !text.startsWith(head)) return '';
  const end = text.indexOf('\n', at);
  return text.slice(at + head.length, end === -1 ? undefined : end).trim();
}
