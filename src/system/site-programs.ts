import fs, { type Stats } from 'node:fs';
import path from 'node:path';
import { hasCode } from '../errors.ts';

/** A file of a site's directory that is not run, and why. */
export type SkippedProgram = { name: string; kind: 'no-program' | 'not-safe'; why: string };

export type SitePrograms = {
  /** In byte order. */
  names: string[];
  /** In byte order; without what editors and dpkg leave beside a changed file. */
  skipped: SkippedProgram[];
};

/**
 * The programs that a site put into a directory of ours: regular executable files, also by symlinks, that only root can
 * change. We run them as root, so one that somebody else can change would make that somebody root.
 * @param directory need not exist
 * @throws an error with `code` as of node:fs
 */
export function sitePrograms(directory: string): SitePrograms {
  const found: SitePrograms = { names: [], skipped: [] };
  const own = statOf(directory);
  if (own === null || !own.isDirectory()) return found;
  const unsafe = whyNotSafe(own);
  for (const name of fs.readdirSync(directory).sort()) {
    if (isLeftover(name)) continue;
    const problem = unsafe === null ? problemOf(directory, name) : notSafe(`its directory ${unsafe}`);
    if (problem === null) found.names.push(name);
    else found.skipped.push({ name, ...problem });
  }
  return found;
}

/** Hidden files, backups of editors, what dpkg and ucf leave beside a changed file. */
function isLeftover(name: string): boolean {
  return /^[.#]|~$|\.(?:dpkg|ucf)-\w+$|\.(?:bak|orig|swp)$/.test(name);
}

type Problem = Omit<SkippedProgram, 'name'>;

function problemOf(directory: string, name: string): Problem | null {
  if (!/^\w[\w.-]*$/.test(name)) return noProgram('its name may have letters, digits and . _ - only');
  const stats = statOf(path.join(directory, name));
  if (stats === null) return noProgram('it is a link that leads nowhere');
  if (!stats.isFile()) return noProgram('it is not a regular file');
  if ((stats.mode & 0o111) === 0) return noProgram('it is not executable');
  const unsafe = whyNotSafe(stats);
  return unsafe === null ? null : notSafe(`it ${unsafe}`);
}

function noProgram(why: string): Problem {
  return { kind: 'no-program', why };
}

function notSafe(why: string): Problem {
  return { kind: 'not-safe', why };
}

function whyNotSafe({ uid, gid, mode }: Stats): string | null {
  if (uid !== 0) return `belongs to user ${uid}, not to root (chown root)`;
  if ((mode & 0o002) !== 0) return 'can be changed by everyone (chmod o-w)';
  // root's own group has no other members by default
  return (mode & 0o020) !== 0 && gid !== 0 ? `can be changed by group ${gid} (chmod g-w)` : null;
}

function statOf(file: string): Stats | null {
  try {
    return fs.statSync(file);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return null;
    throw error;
  }
}
