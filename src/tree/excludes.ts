import fs from 'node:fs';
import { hasCode, UsageError, UserError } from '../errors.ts';
import { fnmatch, fnmatchPattern } from '../system/posix.ts';

/**
 * Says which names of one directory are left out. A walk starts with the excluder of the tree's root and goes on with
 * `below` in each directory it enters, so that each name costs only the patterns that can still match there.
 */
export type Excluder = { descend: (name: string) => Verdict };

export type Verdict = { excluded: true } | { excluded: false; below: Excluder };

/** Leaves nothing out. */
export const excludeNothing: Excluder = { descend: () => NOTHING };

const NOTHING: Verdict = { excluded: false, below: excludeNothing };
const EXCLUDED: Verdict = { excluded: true };

/**
 * The excluder for patterns as of `mksquashfs -wildcards` (squashfs-tools 4.5.1): components divided by `/`, matched one
 * by one from the tree's root by fnmatch(3) with FNM_PATHNAME, FNM_PERIOD and FNM_EXTMATCH. A name that matches a
 * pattern's last component is left out with all below. A pattern behind `... ` matches in every directory; it has one
 * component, since mksquashfs 4.5 and 4.6 understand more of them differently.
 * @param patterns one char per byte (latin1)
 * @throws UsageError for a pattern that mksquashfs refuses, or that means different things to its versions
 */
export function excluderOf(patterns: readonly string[]): Excluder {
  const rooted = emptyBranch();
  const sticky = emptyBranch();
  for (const pattern of patterns) {
    const problem = patternProblem(pattern);
    if (problem !== null) throw new UsageError(problem);
    if (pattern.startsWith(STICKY)) add(sticky, componentsOf(pattern.slice(STICKY.length)));
    else add(rooted, componentsOf(pattern));
  }
  const everywhere = isEmpty(sticky) ? excludeNothing : new Directory([], sticky, null);
  return isEmpty(rooted) ? everywhere : new Directory([rooted], sticky, everywhere);
}

/**
 * The patterns of an excludes file (`mksquashfs -ef`): one a line, white space before it and lines beginning with `#`
 * aside; a backslash at the beginning is dropped, so that a name can begin with `#` or a blank. White space at the end
 * belongs to the pattern. A file that is not there has no patterns.
 * @returns one char per byte (latin1)
 * @throws UsageError with file and line for a pattern that mksquashfs refuses; UserError when it cannot be read
 */
export function readExcludes(file: string): string[] {
  const patterns: string[] = [];
  for (const [index, line] of linesOf(file).entries()) {
    const text = line.replace(/^[ \t\n\v\f\r]+/, '');
    if (text.startsWith('#')) continue;
    const pattern = text.startsWith('\\') ? text.slice(1) : text;
    if (pattern === '') continue;
    const problem = patternProblem(pattern);
    if (problem !== null) throw new UsageError(`${problem}, in ${file} line ${index + 1}`);
    patterns.push(pattern);
  }
  return patterns;
}

/**
 * The pattern that matches one path and nothing else. A line break becomes `?`: a file of patterns cannot hold one.
 * @param path relative to the tree's root, one char per byte (latin1)
 */
export function excludePatternOf(path: string): string {
  const escaped = path.replace(/[*?[\]\\()|]/g, '\\$&').replaceAll('\n', '?');
  return escaped.startsWith(STICKY) ? `\\${escaped}` : escaped;
}

const STICKY = '... ';

/** What the next component of some patterns may be, and what comes after each; null: nothing, it is the last. */
type Branch = { literals: Map<string, Branch | null>; globs: { text: string; pattern: Buffer; next: Branch | null }[] };

class Directory implements Excluder {
  readonly #branches: readonly Branch[];
  readonly #sticky: Branch;
  readonly #everywhere: Excluder;
  readonly #unmatched: Verdict;

  /** @param everywhere holds below names that no rooted pattern begins with; null: this one */
  constructor(branches: readonly Branch[], sticky: Branch, everywhere: Excluder | null) {
    this.#branches = branches;
    this.#sticky = sticky;
    this.#everywhere = everywhere ?? this;
    this.#unmatched = { excluded: false, below: this.#everywhere };
  }

  descend(name: string): Verdict {
    const below: Branch[] = [];
    if (matches(this.#sticky, name, below)) return EXCLUDED;
    for (const branch of this.#branches) {
      if (matches(branch, name, below)) return EXCLUDED;
    }
    if (below.length === 0) return this.#unmatched;
    return { excluded: false, below: new Directory(below, this.#sticky, this.#everywhere) };
  }
}

/** True when `name` is the last component of a pattern; else adds to `below` what comes after it in the others. */
function matches(branch: Branch, name: string, below: Branch[]): boolean {
  const literal = branch.literals.get(name);
  if (literal === null) return true;
  if (literal !== undefined) below.push(literal);
  for (const { pattern, next } of branch.globs) {
    if (!fnmatch(pattern, name)) continue;
    if (next === null) return true;
    below.push(next);
  }
  return false;
}

function add(branch: Branch, components: readonly string[]): void {
  const [first, ...rest] = components;
  if (first === undefined) return;
  const known = isGlob(first) ? branch.globs.find(({ text }) => text === first)?.next : branch.literals.get(first);
  // a shorter pattern leaves out all that a longer one could
  if (known === null) return;
  const next = rest.length === 0 ? null : (known ?? emptyBranch());
  if (isGlob(first)) {
    const others = branch.globs.filter(({ text }) => text !== first);
    branch.globs = [...others, { text: first, pattern: fnmatchPattern(first), next }];
  } else {
    branch.literals.set(first, next);
  }
  if (next !== null) add(next, rest);
}

function emptyBranch(): Branch {
  return { literals: new Map(), globs: [] };
}

function isEmpty({ literals, globs }: Branch): boolean {
  return literals.size === 0 && globs.length === 0;
}

/** True when only fnmatch knows what it matches; a plain component is compared as it is, which is ten times faster. */
function isGlob(component: string): boolean {
  return /[*?[\\(]/.test(component);
}

function componentsOf(pattern: string): string[] {
  return pattern.split('/').filter((component) => component !== '');
}

/** Bytes; no path that a program can name is longer (PATH_MAX). */
const LONGEST = 4096;

function patternProblem(pattern: string): string | null {
  if (pattern.length > LONGEST) {
    return `cannot use an exclude pattern of ${pattern.length} bytes: no path has more than ${LONGEST} (${pattern.slice(0, 40)}…)`;
  }
  if (pattern.startsWith(STICKY) && componentsOf(pattern.slice(STICKY.length)).length > 1) {
    // squashfs-tools 4.5 leaves out all that the first name matches, 4.6 only what the whole path does
    return `cannot use the exclude pattern ${pattern}: mksquashfs reads more than one name behind ... differently from version to version (write one name there)`;
  }
  if (!/^(\/|\.\.?\/)/.test(pattern)) return null;
  const better = pattern.replace(/^(\/+|\.\.?\/+)+/, '');
  const hint = better === '' ? '' : ` (write ${better})`;
  return `cannot use the exclude pattern ${pattern}: patterns begin at the top of the chroot, without /, ./ or ../${hint}`;
}

function linesOf(file: string): string[] {
  try {
    return fs.readFileSync(file, 'latin1').split('\n');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw new UserError(`cannot read the excludes file ${file}`, { cause: error });
  }
}
