import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GetoptRules, getopt, type Parsed } from '../../src/cli/getopt.ts';
import { UsageError } from '../../src/errors.ts';

type Name = 'base' | 'cleanup' | 'compression' | 'config-nbd' | 'no-compress' | 'no-backup' | 'revert' | 'root';

const rules: GetoptRules<Name> = {
  program: 'prog',
  table: [
    { long: 'base', short: 'b', argument: 'required' },
    { long: 'cleanup', short: 'c', argument: 'none' },
    { long: 'compression', argument: 'required' },
    { long: 'config-nbd', short: 'f', argument: 'none' },
    { long: 'no-compress', short: 'm', argument: 'none' },
    { long: 'no-backup', short: 'n', argument: 'none' },
    { long: 'revert', short: 'r', argument: 'none' },
  ],
  order: 'permute',
};

/** The result as one list, as getopt(1) prints it: `--base=DIR`, `--cleanup`, `--`, operands. */
function flat({ options, operands }: Parsed<string>): string[] {
  const takesArgument = (name: string) =>
    rules.table.some(({ long, argument }) => long === name && argument !== 'none');
  const given = options.map(({ name, value }) => (takesArgument(name) ? `--${name}=${value}` : `--${name}`));
  return [...given, '--', ...operands];
}

function parse(argv: readonly string[], order: 'permute' | 'posix' = 'permute'): string[] | string {
  try {
    return flat(getopt(argv, { ...rules, order }));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message;
  }
}

const right: [string[], string[]][] = [
  [[], ['--']],
  [
    ['-b', 'DIR'],
    ['--base=DIR', '--'],
  ],
  [['-bDIR'], ['--base=DIR', '--']],
  [
    ['--base', 'DIR'],
    ['--base=DIR', '--'],
  ],
  [['--base=DIR'], ['--base=DIR', '--']],
  [['--ba=DIR'], ['--base=DIR', '--']],
  [
    ['--b', 'DIR'],
    ['--base=DIR', '--'],
  ],
  [['--base=a=b'], ['--base=a=b', '--']],
  [['--base='], ['--base=', '--']],
  [
    ['-b', ''],
    ['--base=', '--'],
  ],
  [['-b=DIR'], ['--base==DIR', '--']],
  [
    ['-b', '-n'],
    ['--base=-n', '--'],
  ],
  [
    ['--base', '--'],
    ['--base=--', '--'],
  ],
  [['-cn'], ['--cleanup', '--no-backup', '--']],
  [['-cnbDIR'], ['--cleanup', '--no-backup', '--base=DIR', '--']],
  [
    ['-cnb', 'DIR'],
    ['--cleanup', '--no-backup', '--base=DIR', '--'],
  ],
  [['--rev'], ['--revert', '--']],
  [
    ['--no-b', '--no-c'],
    ['--no-backup', '--no-compress', '--'],
  ],
  [
    ['--com', 'xz'],
    ['--compression=xz', '--'],
  ],
  [
    ['amd64', '-n', 'i386'],
    ['--no-backup', '--', 'amd64', 'i386'],
  ],
  [
    ['-n', '--', '-r', '--'],
    ['--no-backup', '--', '-r', '--'],
  ],
  [
    ['-', '-n'],
    ['--no-backup', '--', '-'],
  ],
  [
    ['', '-n'],
    ['--no-backup', '--', ''],
  ],
  [
    ['-n', '-n'],
    ['--no-backup', '--no-backup', '--'],
  ],
];

const wrong: [string[], string][] = [
  [['--x'], "prog: unrecognized option '--x'"],
  [['--x=3'], "prog: unrecognized option '--x=3'"],
  [['-z'], "prog: invalid option -- 'z'"],
  [['-cz'], "prog: invalid option -- 'z'"],
  [['-c-'], "prog: invalid option -- '-'"],
  [['-b'], "prog: option requires an argument -- 'b'"],
  [['-cb'], "prog: option requires an argument -- 'b'"],
  [['--base'], "prog: option '--base' requires an argument"],
  [['--ba'], "prog: option '--base' requires an argument"],
  [['--cleanup=1'], "prog: option '--cleanup' doesn't allow an argument"],
  [['--cl='], "prog: option '--cleanup' doesn't allow an argument"],
  [['--no'], "prog: option '--no' is ambiguous; possibilities: '--no-compress' '--no-backup'"],
  [['--c=x'], "prog: option '--c=x' is ambiguous; possibilities: '--cleanup' '--compression' '--config-nbd'"],
  [['amd64', '--x', '-z'], "prog: unrecognized option '--x'"],
];

describe('getopt', () => {
  test.each(right)('%j is understood', (argv, expected) => {
    expect(parse(argv)).toEqual(expected);
  });

  test.each(wrong)('%j is refused in the words of getopt', (argv, message) => {
    expect(parse(argv)).toBe(message);
  });

  test('in POSIX order the first operand ends the options', () => {
    expect(parse(['-n', 'amd64', '-r', '--x'], 'posix')).toEqual(['--no-backup', '--', 'amd64', '-r', '--x']);
    expect(parse(['-n', '--', 'amd64'], 'posix')).toEqual(['--no-backup', '--', 'amd64']);
  });

  test('an option that must be spelt out takes no abbreviation from another', () => {
    const withRoot: GetoptRules<Name> = {
      ...rules,
      table: [...rules.table, { long: 'root', argument: 'required', spelling: 'whole' }],
    };
    const names = (argv: string[]) => getopt(argv, withRoot).options.map(({ name }) => name);
    expect(names(['--r', '--root=DIR', '--root', 'DIR'])).toEqual(['revert', 'root', 'root']);
    expect(() => names(['--roo=DIR'])).toThrow("unrecognized option '--roo=DIR'");
  });

  test('it understands and refuses what getopt(1) does', () => {
    const argument = fc.oneof(
      fc.constantFrom(
        '--',
        '-',
        'amd64',
        '',
        '-b',
        '-bDIR',
        '-cnr',
        '-mb',
        '--base',
        '--base=x',
        '--rev',
        '--no-',
        '--c',
      ),
      fc.string({ unit: fc.constantFrom('-', '=', ...'bcmnrfxoe'), maxLength: 6 }),
      fc.constantFrom('--compression', '--cleanup', '--no-backup', '--revert').chain((long) => {
        return fc.nat(long.length).map((length) => long.slice(0, length));
      }),
    );
    const order = fc.constantFrom('permute' as const, 'posix' as const);
    const calls = fc.array(fc.tuple(order, fc.array(argument, { maxLength: 5 })), { minLength: 100, maxLength: 100 });
    fc.assert(
      fc.property(calls, (all) => {
        expect(all.map(([how, argv]) => parse(argv, how))).toEqual(byGetopt(all));
      }),
      { numRuns: 2 },
    );
  });
});

type Call = ['permute' | 'posix', string[]];

/** What getopt(1) makes of each, with short options by their long names; or the first line that it says. */
function byGetopt(calls: readonly Call[]): (string[] | string)[] {
  const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  const script = [
    'one() {',
    '  how=$1; shift; unset POSIXLY_CORRECT; [ "$how" = permute ] || export POSIXLY_CORRECT=1',
    '  if args=$(getopt -n prog -o b:cfmnr -l base:,cleanup,compression:,config-nbd,no-compress,no-backup,revert -- "$@" 2>&1)',
    '  then eval "set -- $args"; printf "%s\\0" right "$@"; else printf "%s\\0" "$args"; fi',
    '  printf "\\001"',
    '}',
    ...calls.map(([how, argv]) => ['one', how, ...argv.map(quoted)].join(' ')),
  ].join('\n');
  const env = { ...process.env, LC_ALL: 'C' };
  const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8', env });
  return stdout
    .split('\x01')
    .slice(0, -1)
    .map((answer) => {
      const [first = '', ...words] = answer.split('\0').slice(0, -1);
      return first === 'right' ? byLongNames(words) : (first.split('\n', 1)[0] ?? '');
    });
}

function byLongNames(words: readonly string[]): string[] {
  const options: string[] = [];
  for (let index = 0; ; index += 1) {
    const word = words[index] ?? '--';
    if (word === '--') return [...options, '--', ...words.slice(index + 1)];
    const spec = rules.table.find(({ long, short }) => word === `--${long}` || word === `-${short}`);
    if (spec?.argument === 'required') index += 1;
    options.push(spec?.argument === 'required' ? `--${spec.long}=${words[index]}` : `--${spec?.long}`);
  }
}
