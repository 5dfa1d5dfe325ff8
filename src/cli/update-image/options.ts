import path from 'node:path';
import type { CommandLineSettings } from '../../config/command-line.ts';
import type { Assignment } from '../../config/shell-assignments.ts';
import { oneOf, pattern } from '../../config/values.ts';
import { UsageError } from '../../errors.ts';
import type { GivenOption } from '../getopt.ts';
import { type CommandLine, lastValue, type OptionName } from './command-line.ts';

/** Which chroots; `host` is the one of this machine's architecture. */
export type Chosen = { kind: 'named'; operands: readonly string[] } | { kind: 'all' } | { kind: 'host' };

/** Whether something is wanted. What a config file wants a daemon does as well, an option is for this call alone. */
export type Wish = 'by option' | 'by config' | 'no' | 'unsaid';

type Common = {
  /** `--root`, or ''. */
  root: string;
  chroots: Chosen;
  /** -f, CONFIG_NBD: nbd-server's configuration. */
  exporting: Wish;
  /** What is laid over the config. */
  settings: CommandLineSettings;
  /** For people, a line each. */
  warnings: readonly string[];
};

export type BuildRequest = Common & { kind: 'build' };
export type RevertRequest = Common & { kind: 'revert' };

/** What a call of the program is to do, unless it only asks for help or the version. */
export type Request = BuildRequest | RevertRequest;

/** What the options want in an image, which a revert does not make. */
const BUILD_OPTIONS: readonly OptionName[] = ['cleanup', 'compression', 'exclude', 'no-compress', 'no-backup'];

/**
 * Makes one request of the command line and LTSP's variables REVERT and CONFIG_NBD. All other variables are in the config,
 * and CONFIG_NBD is there, too.
 * @param readVariables told `--root`
 * @throws UsageError for a value that cannot be used
 */
export function requestOf(
  { options, operands }: Extract<CommandLine, { kind: 'run' }>,
  readVariables: (root: string) => ReadonlyMap<string, Assignment>,
): Request {
  const root = lastValue(options, 'root') ?? '';
  const chroots = chosen(options, operands);
  const variables = readVariables(root);
  const wish = (name: OptionName, variable: string): Wish =>
    has(options, name) ? 'by option' : wishOf(variables.get(variable));
  const exporting = wish('config-nbd', 'CONFIG_NBD');
  const nbd = exporting === 'by option' ? { nbd: 'on' as const } : {};
  const base = baseOf(options);

  const reverting = wish('revert', 'REVERT');
  if (reverting === 'by option' || reverting === 'by config') {
    const ignored = BUILD_OPTIONS.filter((name) => has(options, name)).map((name) => `--${name}`);
    const by = reverting === 'by option' ? '--revert' : 'REVERT="true" in the config';
    const warnings = ignored.length === 0 ? [] : [`build options are ignored with ${by}: ${ignored.join(', ')}`];
    return { kind: 'revert', root, chroots, exporting, settings: base, warnings };
  }
  const { compression, warnings } = compressionOf(options);
  const exclude = excludesOf(options);
  const settings: CommandLineSettings = {
    ...base,
    ...nbd,
    ...compression,
    ...(exclude.length === 0 ? {} : { exclude }),
    ...(has(options, 'no-backup') ? { backup: false } : {}),
    ...(has(options, 'cleanup') ? { cleanup: true } : {}),
  };
  return { kind: 'build', root, chroots, exporting, settings, warnings };
}

function has(options: readonly GivenOption<OptionName>[], name: OptionName): boolean {
  return options.some((option) => option.name === name);
}

function chosen(options: readonly GivenOption<OptionName>[], operands: readonly string[]): Chosen {
  if (!has(options, 'all')) return operands.length === 0 ? { kind: 'host' } : { kind: 'named', operands };
  if (operands.length === 0) return { kind: 'all' };
  throw new UsageError(`cannot take --all together with chroots (${operands.join(', ')}): give one or the other`);
}

/** A value that is neither is refused, with its place, when the config is loaded. */
function wishOf(assignment: Assignment | undefined): Wish {
  if (assignment === undefined) return 'unsaid';
  if (/^(?:true|yes|y|1)$/i.test(assignment.value)) return 'by config';
  return assignment.value === '' ? 'unsaid' : 'no';
}

function baseOf(options: readonly GivenOption<OptionName>[]): { base?: string } {
  const value = lastValue(options, 'base');
  if (value === undefined) return {};
  const base = path.resolve(value);
  if (base === '/') throw new UsageError(`cannot use ${value} as the base directory: it must be one below /`);
  return { base };
}

/** mksquashfs given both records the compressor and compresses nothing: whatever the order, no compression wins. */
function compressionOf(options: readonly GivenOption<OptionName>[]): {
  compression: Pick<CommandLineSettings, 'compression'>;
  warnings: string[];
} {
  const given = options.findLast(({ name }) => name === 'compression');
  if (has(options, 'no-compress')) {
    const warnings = given === undefined ? [] : ['--compression is ignored with --no-compress'];
    return { compression: { compression: 'none' }, warnings };
  }
  if (given === undefined) return { compression: {}, warnings: [] };
  const type = oneOf('auto', 'gzip', 'lzo', 'xz', 'lz4', 'zstd').safeParse(given.value === '' ? 'auto' : given.value);
  if (type.success) return { compression: { compression: type.data }, warnings: [] };
  const allowed = 'gzip, lzo, xz, lz4, zstd, or auto';
  throw new UsageError(`cannot compress with ${JSON.stringify(given.value)} (--compression takes ${allowed})`);
}

/** The lists of all -e, in words. */
function excludesOf(options: readonly GivenOption<OptionName>[]): string[] {
  const words = options
    .filter(({ name }) => name === 'exclude')
    .flatMap(({ value }) => value.split(/[\s,]+/))
    .filter(Boolean);
  for (const word of words) {
    const { error } = pattern().safeParse(word);
    if (error !== undefined) throw new UsageError(`cannot exclude ${JSON.stringify(word)}: it ${messageIn(error)}`);
  }
  return words;
}

function messageIn({ issues }: { issues: readonly { message: string }[] }): string {
  return issues[0]?.message ?? 'cannot be used';
}
