import { UsageError } from '../errors.ts';

/** An option with at least one spelling. */
export type OptionSpec<Name extends string> = {
  /** The long option without its dashes; what the option is called in the result. */
  long: Name;
  /** The letter of its short form. */
  short?: string;
  argument: 'none' | 'required';
  /** `whole`: no abbreviation of it counts, so that it takes none away from other options. */
  spelling?: 'whole' | 'abbreviable';
};

/** An option as it was given. `value` is '' for one that takes no argument. */
export type GivenOption<Name extends string> = { name: Name; value: string };

/** Options in their order, and what is left: the operands in theirs. */
export type Parsed<Name extends string> = { options: GivenOption<Name>[]; operands: string[] };

export type GetoptRules<Name extends string> = {
  /** What error messages begin with. */
  program: string;
  /** In the order in which an error lists them. */
  table: readonly OptionSpec<Name>[];
  /** `posix` (the variable POSIXLY_CORRECT is set): the first operand ends the options. */
  order: 'permute' | 'posix';
};

/** What an option's text leads to: itself, and the arguments behind it that it took. */
type Step<Name extends string> = { given: GivenOption<Name>[]; taken: number };

/**
 * Parses arguments as GNU getopt_long(3) does, and says what is wrong in its words.
 * @throws UsageError for the first argument that is wrong
 */
export function getopt<Name extends string>(argv: readonly string[], rules: GetoptRules<Name>): Parsed<Name> {
  const options: GivenOption<Name>[] = [];
  const operands: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const text = argv[index] ?? '';
    if (text === '--') return { options, operands: [...operands, ...argv.slice(index + 1)] };
    if (!text.startsWith('-') || text === '-') {
      if (rules.order === 'posix') return { options, operands: argv.slice(index) };
      operands.push(text);
      continue;
    }
    const next = argv[index + 1];
    const { given, taken } = text.startsWith('--') ? longOption(text, next, rules) : shortOptions(text, next, rules);
    options.push(...given);
    index += taken;
  }
  return { options, operands };
}

/** `--base DIR`, `--base=DIR`, `--bas DIR` */
function longOption<Name extends string>(text: string, next: string | undefined, rules: GetoptRules<Name>): Step<Name> {
  const equals = text.indexOf('=');
  const written = text.slice(2, equals === -1 ? undefined : equals);
  const attached = equals === -1 ? undefined : text.slice(equals + 1);
  const { long, argument } = findLong(text, written, rules);
  if (argument === 'none') {
    if (attached === undefined) return { given: [{ name: long, value: '' }], taken: 0 };
    return wrong(rules, `option '--${long}' doesn't allow an argument`);
  }
  if (attached !== undefined) return { given: [{ name: long, value: attached }], taken: 0 };
  if (next !== undefined) return { given: [{ name: long, value: next }], taken: 1 };
  return wrong(rules, `option '--${long}' requires an argument`);
}

function findLong<Name extends string>(text: string, written: string, rules: GetoptRules<Name>): OptionSpec<Name> {
  const exact = rules.table.find(({ long }) => long === written);
  if (exact !== undefined) return exact;
  const meant = rules.table.filter(({ long, spelling }) => spelling !== 'whole' && long.startsWith(written));
  const [only] = meant;
  if (only === undefined) return wrong(rules, `unrecognized option '${text}'`);
  if (meant.length === 1) return only;
  const possibilities = meant.map(({ long }) => `'--${long}'`).join(' ');
  return wrong(rules, `option '${text}' is ambiguous; possibilities: ${possibilities}`);
}

/** `-c`, `-cn`, `-bDIR`, `-b DIR`, `-cnb DIR` */
function shortOptions<Name extends string>(
  text: string,
  next: string | undefined,
  rules: GetoptRules<Name>,
): Step<Name> {
  const given: GivenOption<Name>[] = [];
  const letters = [...text.slice(1)];
  for (const [index, letter] of letters.entries()) {
    const spec = rules.table.find(({ short }) => short === letter);
    if (spec === undefined) return wrong(rules, `invalid option -- '${letter}'`);
    if (spec.argument === 'none') {
      given.push({ name: spec.long, value: '' });
      continue;
    }
    const attached = letters.slice(index + 1).join('');
    if (attached !== '') return { given: [...given, { name: spec.long, value: attached }], taken: 0 };
    if (next !== undefined) return { given: [...given, { name: spec.long, value: next }], taken: 1 };
    return wrong(rules, `option requires an argument -- '${letter}'`);
  }
  return { given, taken: 0 };
}

function wrong({ program }: { program: string }, message: string): never {
  throw new UsageError(`${program}: ${message}`);
}
