import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../src/cli/update-image/command-line.ts';
import { type Request, requestOf } from '../../../src/cli/update-image/options.ts';
import { parseShellAssignments } from '../../../src/config/shell-assignments.ts';
import { UsageError } from '../../../src/errors.ts';

function request(argv: readonly string[], variables = ''): Request {
  const commandLine = parseCommandLine(argv, 'permute');
  if (commandLine.kind !== 'run') throw new Error(commandLine.kind);
  return requestOf(commandLine, () => parseShellAssignments(variables, '/etc/ltsp/ltsp-update-image.conf', new Map()));
}

const plain = {
  kind: 'build',
  root: '',
  chroots: { kind: 'host' },
  exporting: 'unsaid',
  settings: {},
  warnings: [],
};

const table: [string[], object][] = [
  [[], {}],
  [['amd64', '/srv/fat/'], { chroots: { kind: 'named', operands: ['amd64', '/srv/fat/'] } }],
  [['--all'], { chroots: { kind: 'all' } }],
  [['--', '-r'], { chroots: { kind: 'named', operands: ['-r'] } }],
  [['-b', '/srv/ltsp/'], { settings: { base: '/srv/ltsp' } }],
  [['--base=/a', '-b/b'], { settings: { base: '/b' } }],
  [['--base='], {}],
  [['-c'], { settings: { cleanup: true } }],
  [['--cleanup', '-f'], { settings: { cleanup: true, nbd: 'on' }, exporting: 'by option' }],
  [['--compression=xz'], { settings: { compression: 'xz' } }],
  [['--compression', 'zstd'], { settings: { compression: 'zstd' } }],
  [['--compression=xz', '--compression=lz4'], { settings: { compression: 'lz4' } }],
  [['--compression='], { settings: { compression: 'auto' } }],
  [['-m'], { settings: { compression: 'none' } }],
  [['-n'], { settings: { backup: false } }],
  [['-e', 'home'], { settings: { exclude: ['home'] } }],
  [['-e', 'home, var/log/*  srv', '--exclude=a,b'], { settings: { exclude: ['home', 'var/log/*', 'srv', 'a', 'b'] } }],
  [['-e', ''], {}],
  [
    ['-mn', '-eroot', 'i386'],
    {
      settings: { compression: 'none', backup: false, exclude: ['root'] },
      chroots: { kind: 'named', operands: ['i386'] },
    },
  ],
  [['--root=/trial'], { root: '/trial' }],
];

describe('a request to build', () => {
  test.each(table)('%j', (argv, expected) => {
    expect(request(argv)).toEqual({ ...plain, ...expected });
  });

  test.each([[['-m', '--compression=xz']], [['--compression=xz', '-m']], [['-m', '--compression=nonsense']]])(
    '%j does not compress, and says that one of them is ignored',
    (argv) => {
      expect(request(argv)).toMatchObject({
        settings: { compression: 'none' },
        warnings: ['--compression is ignored with --no-compress'],
      });
    },
  );
});

describe('a request to revert', () => {
  test.each([[['-r', 'amd64']], [['--rev', 'amd64']], [['amd64', '-r']]])('%j', (argv) => {
    const chroots = { kind: 'named', operands: ['amd64'] };
    expect(request(argv)).toEqual({
      kind: 'revert',
      root: '',
      chroots,
      exporting: 'unsaid',
      settings: {},
      warnings: [],
    });
  });

  test('takes no build options, and says which it ignores', () => {
    const { kind, settings, warnings } = request([
      '-cr',
      '-b/srv/ltsp',
      '--compression=nonsense',
      '-e',
      '/',
      '-n',
      '-m',
    ]);
    expect({ kind, settings }).toEqual({ kind: 'revert', settings: { base: '/srv/ltsp' } });
    const all = '--cleanup, --compression, --exclude, --no-compress, --no-backup';
    expect(warnings).toEqual([`build options are ignored with --revert: ${all}`]);
  });
});

describe("LTSP's variables", () => {
  test('CONFIG_NBD asks for an export, also with a revert', () => {
    expect(request([], 'CONFIG_NBD=true')).toMatchObject({ exporting: 'by config' });
    expect(request(['-r'], 'CONFIG_NBD=false')).toMatchObject({ kind: 'revert', exporting: 'no' });
  });

  test('REVERT makes every call a revert, and a warning says what made it one', () => {
    expect(request(['-n'], 'REVERT=true')).toMatchObject({
      kind: 'revert',
      warnings: ['build options are ignored with REVERT="true" in the config: --no-backup'],
    });
    expect(request([], 'REVERT=false').kind).toBe('build');
  });
});

describe('what cannot be used', () => {
  test.each<[string[], string]>([
    [['--compression=bzip2'], 'cannot compress with "bzip2" (--compression takes gzip, lzo, xz, lz4, zstd, or auto)'],
    [['-b', '/'], 'cannot use / as the base directory: it must be one below /'],
    [['-e', 'home /'], 'cannot exclude "/": it is no pattern ('],
    [['--all', 'amd64'], 'cannot take --all together with chroots (amd64): give one or the other'],
  ])('%j is refused', (argv, message) => {
    expect(() => request(argv)).toThrow(UsageError);
    expect(() => request(argv)).toThrow(message);
  });
});

describe('help and version', () => {
  test.each([['-h'], ['--help'], ['--he']])('%s beside anything that can be parsed', (option) => {
    expect(parseCommandLine(['-c', '--compression=nonsense', option, '--version'], 'permute')).toEqual({
      kind: 'help',
    });
    expect(() => parseCommandLine([option, '--nonsense'], 'permute')).toThrow("unrecognized option '--nonsense'");
  });

  test('--version', () => {
    expect(parseCommandLine(['--version', '-h'], 'permute')).toEqual({ kind: 'version' });
  });
});
