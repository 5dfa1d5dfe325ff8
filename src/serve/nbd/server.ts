import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { hasCode, messageOf } from '../../errors.ts';
import { type KeyFileSection, parseKeyFile } from './key-file.ts';

/** What nbd-server is told to do by its config; `absent` where it has none, which is how a machine without it looks. */
export type NbdServer =
  | { kind: 'absent'; file: string }
  | { kind: 'unreadable'; file: string; why: string }
  | ConfiguredNbdServer;

export type ConfiguredNbdServer = {
  kind: 'configured';
  file: string;
  port: number;
  /** Addresses it listens on; `::` and `0.0.0.0` are all. */
  addresses: readonly string[];
  /** Whom it becomes after it opened its port; null: it stays who started it. */
  user: string | null;
  group: string | null;
  /** Where it looks for `*.conf`, under `root`; null: nowhere. */
  includedir: string | null;
  exports: readonly NbdExport[];
  /** What in its files nbd-server would not take, in words; it does not start with such a file, and adds nothing. */
  problems: readonly string[];
};

export type NbdExport = {
  /** The section's name, which is what a client asks for, for example /opt/ltsp/amd64. */
  name: string;
  /** `exportname`: the file that is served; null where that is missing. */
  image: string | null;
  /** Who may connect; null: everyone. */
  authfile: string | null;
  /** The config file that it stands in. */
  definedIn: string;
};

/** The port that IANA gave NBD, and nbd-server's default. */
const NBD_PORT = 10809;

/**
 * Reads /etc/nbd-server/config and the `*.conf` of its includedir (nbd-server(5)), both under `config.root`. What the
 * files themselves name stays as written, includedir and authfile aside, which have to be read.
 */
export function readNbdServer(config: Pick<Config, 'root'>): NbdServer {
  const file = path.join(config.root, '/etc/nbd-server/config');
  try {
    const main = parseKeyFile(fs.readFileSync(file, 'utf8'));
    const problems = main.problems.map((problem) => `${file}:${problem}`);
    const generic = main.sections.find(({ name }) => name === 'generic')?.values;
    if (generic === undefined) problems.push(`${file}: it has no section [generic]`);
    const directory = generic?.get('includedir');
    const includedir = directory === undefined ? null : underRoot(config.root, directory);
    return {
      kind: 'configured',
      file,
      port: portOf(generic?.get('port'), file, problems),
      addresses: (generic?.get('listenaddr') ?? '::, 0.0.0.0').split(/[\s,]+/).filter(Boolean),
      user: generic?.get('user')?.trim() ?? null,
      group: generic?.get('group')?.trim() ?? null,
      includedir,
      exports: [
        ...exportsIn(config.root, file, main.sections),
        ...(includedir === null ? [] : includedExports(config.root, includedir, problems)),
      ],
      problems,
    };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { kind: 'absent', file };
    return { kind: 'unreadable', file, why: messageOf(error) };
  }
}

/** The absolute path as nbd-server's config has it, under `root` unless it says so itself. */
function underRoot(root: string, file: string): string {
  return root !== '' && file.startsWith(`${root}/`) ? file : path.join(root, file);
}

function portOf(written: string | undefined, file: string, problems: string[]): number {
  const text = written?.trim() ?? 'nbd';
  if (text === 'nbd') return NBD_PORT;
  const port = Number(text);
  if (/^\d+$/.test(text) && port > 0 && port < 65536) return port;
  problems.push(`${file}: port = ${text} is no port number (1 to 65535)`);
  return NBD_PORT;
}

function exportsIn(root: string, file: string, sections: readonly KeyFileSection[]): NbdExport[] {
  return sections
    .filter(({ name }) => name !== 'generic')
    .map(({ name, values }) => {
      const authfile = values.get('authfile');
      return {
        name,
        image: values.get('exportname') ?? null,
        authfile: authfile === undefined || authfile === '' ? null : underRoot(root, authfile),
        definedIn: file,
      };
    });
}

function includedExports(root: string, includedir: string, problems: string[]): NbdExport[] {
  return confFiles(includedir, problems).flatMap((file) => {
    try {
      const parsed = parseKeyFile(fs.readFileSync(file, 'utf8'));
      problems.push(...parsed.problems.map((problem) => `${file}:${problem}`));
      return exportsIn(root, file, parsed.sections);
    } catch (error) {
      problems.push(`${file}: ${messageOf(error)}`);
      return [];
    }
  });
}

/** nbd-server takes files and links to files; it does not start when the directory is missing. */
function confFiles(includedir: string, problems: string[]): string[] {
  try {
    const names = fs.readdirSync(includedir).filter((name) => name.endsWith('.conf'));
    return names
      .sort()
      .map((name) => path.join(includedir, name))
      .filter((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile());
  } catch (error) {
    problems.push(`${includedir}: ${messageOf(error)}`);
    return [];
  }
}
