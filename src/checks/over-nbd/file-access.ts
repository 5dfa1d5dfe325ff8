import fs from 'node:fs';
import { run } from '../../system/processes.ts';
import type { NbdServerIdentity } from './identity.ts';

/** A file, and the path by which clients get it: it need not be there yet. */
export type ServedFile = { file: string; servedAs: string };

/** Run as the user in question: the first of the directories $@ that lets them not go on, with mode and owner, or nothing. */
const WAY = `
for directory; do
  [ -x "$directory" ] || exec stat --format='%a %U:%G %n' -- "$directory"
done
`;

/** $1 is the file, opened as root, so that only its own mode counts; the others become the user in question. */
const FILE = `
file=$1
shift
exec 3< "$file"
"$@" sh -c '[ -r /proc/self/fd/3 ]' || stat --format='%a %U:%G %n' -- "$file"
`;

/**
 * Why nbd-server, being who it is, may not read a file by the path that it is served by: mode and owner of the file or of
 * a directory on the way to it, or that it is not there, in words; null where it may.
 * @throws UserError where that cannot be found out
 */
export async function whyUnreadable(
  { file, servedAs }: ServedFile,
  { user, group }: NbdServerIdentity,
  signal: AbortSignal,
): Promise<string | null> {
  const become = ['setpriv', '--clear-groups', ...(group === null ? [] : [`--regid=${group}`])];
  if (user !== null) become.push(`--reuid=${user}`);
  const who = `nbd-server, which runs as ${user ?? 'root'}:${group ?? 'root'},`;
  const way = await run('env', ['--', ...become, '--', 'sh', '-c', WAY, 'sh', ...wayTo(servedAs)], { signal });
  const directory = found(way.stdout);
  if (directory !== null) return `${who} may not go through the directory ${directory}`;
  if (!fs.existsSync(file)) return `${file} is not there`;
  const unreadable = found((await run('sh', ['-c', FILE, 'sh', file, ...become, '--'], { signal })).stdout);
  return unreadable === null ? null : `${who} may not read ${unreadable}`;
}

/** `750 root:root /a` → `/a (mode 0750, owner root:root)`; null for nothing. */
function found(stdout: string): string | null {
  const [, mode = '', owner = '', path] = /^(\d+) (\S+) (.*)$/s.exec(stdout.trimEnd()) ?? [];
  return path === undefined ? null : `${path} (mode ${mode.padStart(4, '0')}, owner ${owner})`;
}

function wayTo(file: string): string[] {
  const parts = file.split('/').slice(1, -1);
  return ['/', ...parts.map((_, at) => `/${parts.slice(0, at + 1).join('/')}`)];
}
