import { type GivenOption, getopt, type OptionSpec } from '../getopt.ts';

export const PROGRAM = 'ltsp-update-image';

export type OptionName =
  | 'base'
  | 'cleanup'
  | 'compression'
  | 'exclude'
  | 'config-nbd'
  | 'help'
  | 'no-compress'
  | 'no-backup'
  | 'revert'
  | 'version'
  | 'all'
  | 'root';

/**
 * LTSP 5's table, then what it does not have. Its man page writes `--base[=PATH]`, but its program takes no option
 * without its argument, so that the argument may stand behind it: `--base PATH`.
 */
const TABLE: readonly OptionSpec<OptionName>[] = [
  { long: 'base', short: 'b', argument: 'required' },
  { long: 'cleanup', short: 'c', argument: 'none' },
  { long: 'compression', argument: 'required' },
  { long: 'exclude', short: 'e', argument: 'required' },
  { long: 'config-nbd', short: 'f', argument: 'none' },
  { long: 'help', short: 'h', argument: 'none' },
  { long: 'no-compress', short: 'm', argument: 'none' },
  { long: 'no-backup', short: 'n', argument: 'none' },
  { long: 'revert', short: 'r', argument: 'none' },
  { long: 'version', argument: 'none' },
  { long: 'all', argument: 'none' },
  // `--r` is `--revert` in people's scripts
  { long: 'root', argument: 'required', spelling: 'whole' },
];

/** What the arguments say, before any config is read. */
export type CommandLine =
  | { kind: 'help' }
  | { kind: 'version' }
  | { kind: 'run'; options: readonly GivenOption<OptionName>[]; operands: readonly string[] };

/**
 * @param order see `GetoptRules`
 * @throws UsageError in getopt's words
 */
export function parseCommandLine(argv: readonly string[], order: 'permute' | 'posix'): CommandLine {
  const { options, operands } = getopt(argv, { program: PROGRAM, table: TABLE, order });
  const answer = options.find(({ name }) => name === 'help' || name === 'version');
  if (answer !== undefined) return { kind: answer.name === 'help' ? 'help' : 'version' };
  return { kind: 'run', options, operands };
}

/** The value of an option; of several the last one counts, and an empty one is none. */
export function lastValue(options: readonly GivenOption<OptionName>[], name: OptionName): string | undefined {
  const value = options.findLast((option) => option.name === name)?.value;
  return value === '' ? undefined : value;
}
