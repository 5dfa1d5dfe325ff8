import path from 'node:path';
import type * as z from 'zod';
import type { Validated } from './problems.ts';
import { listConfigFiles, readConfigFile } from './read-file.ts';
import type { Settings } from './schema.ts';
import { type Assignment, parseShellAssignments } from './shell-assignments.ts';
import { absolutePath, directoryBelowRoot, list, oneOf, pathInside, pattern } from './values.ts';

/** LTSP's variables, and the files and directories that were read or looked for. */
export type LtspVariables = { variables: ReadonlyMap<string, Assignment>; files: string[] };

/**
 * Reads LTSP's own config: ltsp-server.conf, ltsp-update-image.conf and its directory, whose names are letters, digits,
 * `_` and `-`. A later file overrides an earlier one and may refer to its variables.
 * @param root of `--root`, or ''
 * @throws UsageError when a file cannot be read or is more than assignments
 */
export function readLtspVariables(root: string): LtspVariables {
  const directory = path.join(root, '/etc/ltsp/ltsp-update-image.conf.d');
  const fragments = listConfigFiles(directory).filter((name) => /^[A-Za-z0-9_-]+$/.test(name));
  const read = [
    path.join(root, '/etc/ltsp/ltsp-server.conf'),
    path.join(root, '/etc/ltsp/ltsp-update-image.conf'),
    ...fragments.map((name) => path.join(directory, name)),
  ];
  const variables = new Map<string, Assignment>();
  for (const file of read) {
    const text = readConfigFile(file) ?? '';
    for (const [name, assignment] of parseShellAssignments(text, file, variables)) variables.set(name, assignment);
  }
  return { variables, files: [...read, directory] };
}

/**
 * LTSP's variables as settings of ours. An empty one counts as not set, as it does for LTSP. Names we have no setting for
 * belong to other LTSP tools; REVERT is `ltsp-update-image`'s alone.
 */
export function settingsOfLtsp(variables: ReadonlyMap<string, Assignment>): Validated<Settings> {
  const problems: string[] = [];
  const base = take('BASE', directoryBelowRoot(), (value) => value);
  const tftpDirs = take('TFTP_DIRS', list(absolutePath()), words);
  const tftpBootDir = take('TFTP_BOOT_DIR', pathInside(), (value) => value);
  const compression = take('COMPRESSION', oneOf('auto', 'gzip', 'zstd', 'lz4', 'xz', 'lzo'), (value) => value);
  const exclude = take('EXCLUDE', list(pattern()), words);
  const excludedMounts = take('EXCLUDED_MOUNTS', list(pattern()), (value) => words(value).flatMap(contentOf));
  const noCompress = takeTruth('NO_COMPRESS');
  const noBackup = takeTruth('NO_BACKUP');
  const cleanup = takeTruth('CLEANUP');
  const exporting = takeTruth('CONFIG_NBD');
  takeTruth('REVERT');

  const chosen = noCompress === true ? 'none' : compression;
  const settings: Settings = {
    ...(base === undefined ? {} : { base }),
    build: {
      exclude: [...(exclude ?? []), ...(excludedMounts ?? [])],
      ...(chosen === undefined ? {} : { compression: chosen }),
      ...(cleanup === undefined ? {} : { cleanup }),
    },
    keep: noBackup === undefined ? {} : { backup: !noBackup },
    serve: {
      ...(exporting === undefined ? {} : { nbd: exporting ? 'on' : 'off' }),
      ...(tftpDirs === undefined ? {} : { tftp_dirs: tftpDirs }),
      ...(tftpBootDir === undefined ? {} : { tftp_boot_dir: tftpBootDir }),
    },
  };
  return { settings, problems };

  function take<T extends z.ZodType>(
    name: string,
    schema: T,
    read: (value: string) => unknown,
  ): z.output<T> | undefined {
    const assignment = variables.get(name);
    if (assignment === undefined || assignment.value.trim() === '') return undefined;
    const result = schema.safeParse(read(assignment.value));
    if (result.success) return result.data;
    for (const { message } of result.error.issues) problems.push(problem(name, assignment, message));
    return undefined;
  }

  function takeTruth(name: string): boolean | undefined {
    const truth = /^(?:true|yes|y|1)$/i;
    const falsehood = /^(?:false|no|n|0)$/i;
    const assignment = variables.get(name);
    if (assignment === undefined || assignment.value === '') return undefined;
    if (truth.test(assignment.value)) return true;
    if (!falsehood.test(assignment.value))
      problems.push(problem(name, assignment, 'cannot be used (allowed: true, false)'));
    return false;
  }
}

function problem(name: string, { value, file, line }: Assignment, message: string): string {
  return `${file}:${line}: ${name} = ${JSON.stringify(value)} ${message}`;
}

function words(value: string): string[] {
  return value.split(/[\s,]+/).filter(Boolean);
}

/** A mount below the chroot that is left out stays as an empty directory; `*` does not match hidden names. */
function contentOf(mount: string): string[] {
  const directory = mount.replace(/^\/+|\/+$/g, '');
  return directory === '' ? [] : [`${directory}/*`, `${directory}/.*`];
}
