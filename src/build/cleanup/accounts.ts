/**
 * The files of accounts as text, one char per byte (latin1), in the formats of passwd(5), shadow(5), group(5),
 * gshadow(5), subuid(5). One that is absent is the empty string.
 */
export type AccountFiles = Readonly<Record<AccountFile, string>>;
export type AccountFile = 'passwd' | 'shadow' | 'group' | 'gshadow' | 'subuid' | 'subgid';
export type Account = { name: string; uid: string; home: string };

/** Accounts of people, by Debian's policy and login.defs; below are those of the system, above nobody and dynamic ones. */
const FIRST_PERSON = 1000;
const LAST_PERSON = 60_000;

/** True for a user or group id, as text, that a person may have. */
export function isPersonId(id: string): boolean {
  return /^\d+$/.test(id) && Number(id) >= FIRST_PERSON && Number(id) <= LAST_PERSON;
}

/**
 * Takes the accounts of people out: their lines, their memberships, and the group that each of them has to itself.
 * Groups that people shared stay, since files and rules may name them, without their passwords. All other lines, also ones
 * in no known format, stay as they are.
 * @returns the files, the accounts taken out, and those that stay
 */
export function withoutPeople(files: AccountFiles): { files: AccountFiles; removed: Account[]; kept: Account[] } {
  const accounts = linesOf(files.passwd).flatMap(accountOf);
  const removed = accounts.filter(isPerson);
  const kept = accounts.filter((account) => !isPerson(account));
  const keptNames = new Set(kept.map(({ name }) => name));
  const names = new Set(removed.map(({ name }) => name).filter((name) => !keptNames.has(name)));
  const ids = new Set(removed.map(({ uid }) => uid));

  const ownGroups = new Set<string>();
  const keptGids = new Set(linesOf(files.passwd).filter(isOfSystem).map(gidOf));
  for (const line of linesOf(files.group)) {
    const [name = '', , gid = ''] = fieldsOf(line);
    if (names.has(name) && isPersonId(gid) && !keptGids.has(gid)) ownGroups.add(name);
  }
  const isOther = (line: string): boolean => !names.has(fieldsOf(line)[0] ?? '');
  const isOtherGroup = (line: string): boolean => !ownGroups.has(fieldsOf(line)[0] ?? '');
  const isOtherRange = (line: string): boolean => isOther(line) && !ids.has(fieldsOf(line)[0] ?? '');

  return {
    files: {
      passwd: filtered(files.passwd, isOfSystem),
      shadow: filtered(files.shadow, isOther),
      group: mapped(filtered(files.group, isOtherGroup), (line) => withoutMembers(line, [3], names)),
      gshadow: mapped(filtered(files.gshadow, isOtherGroup), (line) =>
        withoutPassword(withoutMembers(line, [2, 3], names)),
      ),
      subuid: filtered(files.subuid, isOtherRange),
      subgid: filtered(files.subgid, isOtherRange),
    },
    removed,
    kept,
  };
}

/** The lines of fstab(5), crypttab(5) and their like that say nothing: comments and empty ones. */
export function commentsOnly(text: string): string {
  return filtered(text, (line) => /^\s*(#|$)/.test(line));
}

function accountOf(line: string): Account[] {
  const [name = '', , uid, , , home = ''] = fieldsOf(line);
  // `+` and `-` are NIS' and netgroups'
  return uid === undefined || name === '' || /^[+-]/.test(name) ? [] : [{ name, uid, home }];
}

function isPerson({ uid }: Account): boolean {
  return isPersonId(uid);
}

function isOfSystem(line: string): boolean {
  return !accountOf(line).some(isPerson);
}

function gidOf(line: string): string {
  return fieldsOf(line)[3] ?? '';
}

/** @param columns those that hold a list of names, divided by commas */
function withoutMembers(line: string, columns: readonly number[], names: ReadonlySet<string>): string {
  const cleaned = fieldsOf(line).map((field, column) => {
    if (!columns.includes(column)) return field;
    const members = field.split(',');
    const others = members.filter((member) => !names.has(member.trim()));
    return others.length === members.length ? field : others.join(',');
  });
  return cleaned.join(':');
}

/** gshadow(5): what is no hash locks the group's password or leaves it out. */
function withoutPassword(line: string): string {
  const [name, password, ...rest] = fieldsOf(line);
  return password === undefined || /^[!*x]*$/.test(password) ? line : [name, '!', ...rest].join(':');
}

function fieldsOf(line: string): string[] {
  return line.split(':');
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function filtered(text: string, stays: (line: string) => boolean): string {
  return text
    .split(/(?<=\n)/)
    .filter((line) => stays(line.replace(/\n$/, '')))
    .join('');
}

function mapped(text: string, change: (line: string) => string): string {
  return text.split('\n').map(change).join('\n');
}
