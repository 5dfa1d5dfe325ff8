import type * as z from 'zod';
import { closest } from './did-you-mean.ts';
import { notYet } from './not-yet.ts';
import { keysOfTables, type Settings, settingsSchema } from './schema.ts';
import { isTable, type KeyPath, type TomlDocument } from './toml.ts';

/** What a file sets, as far as it could be read, and what is wrong with it, `FILE:LINE: …` each. */
export type Validated<T> = { settings: T; problems: string[] };

/** Holds a TOML document against the schema. With problems the settings are empty. */
export function validate(document: TomlDocument): Validated<Settings> {
  const result = settingsSchema.safeParse(document.value);
  const issues = result.success ? [] : result.error.issues;
  const problems = [
    ...issues.flatMap((issue) => problemsOf(document, issue)),
    ...unavailable(document, new Set(issues.map(({ path }) => dotted(path)))),
  ];
  return { settings: result.success && problems.length === 0 ? result.data : {}, problems: inFileOrder(problems) };
}

/** What may be a secret: messages go to the log, where more people read than in the config. */
const SECRET: readonly string[] = ['notify.webhook'];

/** `FILE:LINE: KEY = VALUE MESSAGE` */
export function valueProblem(document: TomlDocument, path: KeyPath, message: string): string {
  const written = SECRET.includes(dotted(path)) ? '' : document.written(path);
  return `${document.where(path)}: ${dotted(path)}${written === '' ? '' : ` = ${written}`} ${message}`;
}

function problemsOf(document: TomlDocument, issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(document, issue.path, key));
  }
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return [valueProblem(document, issue.path, message)];
}

function unknownKey(document: TomlDocument, table: KeyPath, key: string): string {
  const path = [...table, key];
  const allowed = keysOfTables.get(tableName(table)) ?? [];
  const meant = suggestion(table, key, allowed);
  const place = table.length === 0 ? 'outside of tables' : `in [${dotted(table)}]`;
  const hint = meant === undefined ? `allowed ${place}: ${allowed.join(', ')}` : `did you mean ${meant}?`;
  return `${document.where(path)}: unknown key ${dotted(path)} (${hint})`;
}

/** A key of the same table that looks alike, else the same word in another table. */
function suggestion(table: KeyPath, key: string, allowed: readonly string[]): string | undefined {
  const alike = closest(key, allowed);
  if (alike !== undefined) return dotted([...table, alike]);
  const chroot = table[0] === 'chroot' ? table.slice(0, 2) : [];
  const scopes = chroot.length === 2 ? [chroot, []] : [[]];
  for (const scope of scopes) {
    const prefix = scope.length === 0 ? '' : 'chroot.*.';
    for (const [name, keys] of keysOfTables) {
      const inner = name.slice(prefix.length);
      if (!name.startsWith(prefix) || inner.includes('chroot') || !keys.includes(key)) continue;
      return dotted([...scope, ...inner.split('.').filter(Boolean), key]);
    }
  }
  return undefined;
}

function unavailable(document: TomlDocument, wrongAlready: ReadonlySet<string>): string[] {
  const chroots = isTable(document.value.chroot) ? Object.keys(document.value.chroot) : [];
  const scopes: KeyPath[] = [[], ...chroots.map((name) => ['chroot', name])];
  return scopes.flatMap((scope) =>
    Object.entries(notYet).flatMap(([key, allowed]) => {
      const path = [...scope, ...key.split('.')];
      const value = valueAt(document.value, path);
      const nothing = value === undefined || (isTable(value) && Object.keys(value).length === 0);
      if (nothing || allowed.includes(value) || wrongAlready.has(dotted(path))) return [];
      // a table that has no place in this scope is reported as an unknown key
      const known = keysOfTables.get(tableName(path.slice(0, -1)))?.includes(String(path.at(-1))) ?? false;
      if (!known) return [];
      const words =
        allowed.length === 0 ? 'leave it out' : `allowed: ${allowed.map((one) => JSON.stringify(one)).join(', ')}`;
      return [valueProblem(document, path, `is not available in this version (${words})`)];
    }),
  );
}

function valueAt(value: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((inner, name) => (isTable(inner) ? inner[String(name)] : undefined), value);
}

/** The table's name as `keysOfTables` has it. */
function tableName(path: KeyPath): string {
  return path.map((part, index) => (index === 1 && path[0] === 'chroot' ? '*' : String(part))).join('.');
}

/** A key as one would write it in the file; an element of an array as `list[0]`. */
function dotted(path: KeyPath): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const name = /^[A-Za-z0-9_-]+$/.test(String(part)) ? String(part) : JSON.stringify(String(part));
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function inFileOrder(problems: readonly string[]): string[] {
  const line = (problem: string): number => Number(/:(\d+): /.exec(problem)?.[1] ?? 0);
  return [...new Set(problems)].sort((one, other) => line(one) - line(other));
}
