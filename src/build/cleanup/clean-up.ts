import { CancelledError, UserError } from '../../errors.ts';
import {
  type Account,
  type AccountFile,
  type AccountFiles,
  commentsOnly,
  isPersonId,
  withoutPeople,
} from './accounts.ts';
import { Inside } from './inside.ts';
import { type Trace, traces, withoutBraces } from './traces.ts';

/** What was done, a line each in words; never a secret itself. */
export type CleanupReport = { done: string[] };

/**
 * Cleans a view of a chroot up without running any of its programs: what belongs to the machine it was installed on and
 * to people who use it goes. Root's own account stays, and so does everything a package or an admin put there for
 * clients. Doing it again changes nothing more.
 * @param root a clean view's root; everything below it may be changed
 * @throws UserError when something cannot be changed; CancelledError when `signal` ended it half-way
 */
export async function cleanUp(root: string, signal?: AbortSignal): Promise<CleanupReport> {
  const inside = new Inside(root);
  try {
    const done = await removePeople(inside, signal);
    for (const trace of traces) done.push(...(await removeTrace(inside, trace, signal)));
    done.push(...(await removeLeftovers(inside, signal)), ...(await emptyLogs(inside, signal)));
    return { done };
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    throw new UserError('cannot clean up the view of the chroot', { cause: error });
  } finally {
    inside.close();
  }
}

async function removePeople(inside: Inside, signal: AbortSignal | undefined): Promise<string[]> {
  const read = (file: AccountFile): string => inside.read(`etc/${file}`) ?? '';
  const former: AccountFiles = {
    passwd: read('passwd'),
    shadow: read('shadow'),
    group: read('group'),
    gshadow: read('gshadow'),
    subuid: read('subuid'),
    subgid: read('subgid'),
  };
  const { files, removed, kept } = withoutPeople(former);
  const done = removed.length === 0 ? [] : [`removed ${counted(removed.length, 'account')} of people`];
  for (const [file, content] of Object.entries(files)) inside.write(`etc/${file}`, content);
  const homes = await inside.remove(homesOf(inside, removed, kept), signal);
  if (homes.length > 0) done.push(`removed ${counted(homes.length, 'home director', 'y', 'ies')}`);
  const theirs = removed
    .filter(({ name }) => /^[^/]+$/.test(name) && name !== '.' && name !== '..')
    .flatMap(({ name }) => BELONGINGS.map((directory) => `${directory}/${name}`));
  const belongings = await inside.remove(theirs, signal);
  if (belongings.length > 0)
    done.push(`removed ${counted(belongings.length, 'file', '', 's')} of theirs (mail, crontabs)`);
  return done;
}

/** Directories with a file for each account that has one. */
const BELONGINGS: readonly string[] = [
  'var/mail',
  'var/spool/mail',
  'var/spool/cron/crontabs',
  'var/spool/cron',
  'var/lib/systemd/linger',
];

/**
 * The homes of people: of the accounts taken out, and what belongs to someone the chroot knows nothing of, as accounts of
 * a directory service do. Only below home/, and none that a remaining account lives in.
 */
function homesOf(inside: Inside, removed: readonly Account[], kept: readonly Account[]): string[] {
  const occupied = kept.flatMap(({ home }) => belowHome(home));
  const ofAccounts = removed.flatMap(({ home }) => belowHome(home));
  const ofOthers = inside.names('home').flatMap((name) => {
    const stats = inside.lstat(`home/${name}`);
    return stats !== null && isSomeone(stats.uid) ? [`home/${name}`] : [];
  });
  const homes = [...new Set([...ofAccounts, ...ofOthers])];
  return homes.filter((home) => !occupied.some((other) => other === home || other.startsWith(`${home}/`)));
}

/** `/home/anna/` → `home/anna`; nothing for a path that is not below /home or takes detours. */
function belowHome(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts[0] === 'home' && parts.length > 1 && !parts.includes('..') ? [parts.join('/')] : [];
}

const NOBODY = 65_534;

/** Directory services give ids of any height. */
function isSomeone(uid: number): boolean {
  return isPersonId(String(uid)) || (uid > 60_000 && uid !== NOBODY);
}

async function removeTrace(
  inside: Inside,
  { what, remove = [], clear = [], empty = [] }: Trace,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const matching = (patterns: readonly string[]): string[] =>
    patterns.flatMap(withoutBraces).flatMap((pattern) => inside.matching(pattern));
  const contents = matching(clear).flatMap((directory) =>
    inside.names(directory).map((name) => `${directory}/${name}`),
  );
  const removed = await inside.remove([...matching(remove), ...contents], signal);
  const emptied = matching(empty).filter((path) => inside.write(path, ''));
  return removed.length + emptied.length === 0 ? [] : [`removed ${what}`];
}

/** What takes more than a name to decide. */
async function removeLeftovers(inside: Inside, signal: AbortSignal | undefined): Promise<string[]> {
  const done: string[] = [];
  for (const table of ['etc/fstab', 'etc/crypttab']) {
    const text = inside.read(table);
    if (text !== null && inside.write(table, commentsOnly(text))) done.push(`took the server's disks out of ${table}`);
  }
  // Without the file whoever manages the client's network makes it; an empty one keeps systemd from doing so. A symlink
  // leads to where it is made, and one of the D-Bus id to the machine id.
  const made = ['etc/resolv.conf', 'var/lib/dbus/machine-id'].filter((file) => inside.lstat(file)?.isFile() === true);
  for (const file of await inside.remove(made, signal)) done.push(`removed ${file}`);
  // the name of a certificate's hash
  const links = inside.matching('etc/ssl/certs/*');
  await inside.remove(
    links.filter((link) => /(^|\/)ssl-cert-snakeoil\.pem$/.test(inside.readlink(link) ?? '')),
    signal,
  );
  return done;
}

/** A log stays as an empty file, with the owner and mode that its program needs; former ones go. */
async function emptyLogs(inside: Inside, signal: AbortSignal | undefined): Promise<string[]> {
  const former = ['var/log/journal', 'var/log/installer'].flatMap((directory) =>
    inside.names(directory).map((name) => `${directory}/${name}`),
  );
  const rotated = inside.filesBelow('var/log').filter((log) => ROTATED.test(log));
  const removed = await inside.remove([...former, ...rotated], signal);
  const emptied = inside.filesBelow('var/log').filter((log) => inside.write(log, ''));
  const count = removed.length + emptied.length;
  return count === 0 ? [] : [`emptied or removed ${counted(count, 'log')}`];
}

/** `syslog.1`, `syslog.2.gz`, `dpkg.log-20260801`, `Xorg.0.log.old`, but not `Xorg.0.log`. */
const ROTATED = /(\.\d+|\.old|-\d{8}|\.(gz|xz|bz2|zst|lz4))$/;

function counted(count: number, noun: string, one = '', many = 's'): string {
  return `${count} ${noun}${count === 1 ? one : many}`;
}
