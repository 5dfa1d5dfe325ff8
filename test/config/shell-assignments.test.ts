// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell text has ${NAME}
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseShellAssignments } from '../../src/config/shell-assignments.ts';
import { UsageError } from '../../src/errors.ts';

function values(text: string): Record<string, string> {
  return Object.fromEntries([...parseShellAssignments(text, 'f')].map(([name, { value }]) => [name, value]));
}

describe('what is understood', () => {
  test.each<[string, Record<string, string>]>([
    ['', {}],
    ['\n \t\n# A=1\n  # B=2\n', {}],
    ['A=1', { A: '1' }],
    ['A=', { A: '' }],
    ['A= B=2', { A: '', B: '2' }],
    ['A="x y" # why', { A: 'x y' }],
    ['A=x#y', { A: 'x#y' }],
    ["A='$B `c` \\'", { A: '$B `c` \\' }],
    ['A="a\'b"\'c"d\'e', { A: 'a\'bc"de' }],
    ['A="\\$ \\" \\\\ \\` \\n"', { A: '$ " \\ ` \\n' }],
    ['A=a\\ b\\"\\;', { A: 'a b";' }],
    ['A=a\\\nb', { A: 'ab' }],
    ['A="a\\\nb"', { A: 'ab' }],
    ['A="a\nb"', { A: 'a\nb' }],
    ['A=1 \\\n  B=2', { A: '1', B: '2' }],
    ['  export A=1 B="2"', { A: '1', B: '2' }],
    ['export=5', { export: '5' }],
    ['A=/opt\nB="${A}/ltsp" C=$A/x D=\'$A\'', { A: '/opt', B: '/opt/ltsp', C: '/opt/x', D: '$A' }],
    ['A=1\nA=$A$A\nA=$A', { A: '11' }],
    ['A=100$ B="$" C="$%"', { A: '100$', B: '$', C: '$%' }],
    ['A=*.img B=[a]? C={x,y} D=a~ E=!', { A: '*.img', B: '[a]?', C: '{x,y}', D: 'a~', E: '!' }],
    ['A="a;b|c&d<e>f(g)"', { A: 'a;b|c&d<e>f(g)' }],
    ['A=x\\', { A: 'x\\' }],
    ['_a1=1', { _a1: '1' }],
    ['x=1', { x: '1' }],
    ['A=größe', { A: 'größe' }],
  ])('%j', (text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  test('a name that an earlier file sets can be referred to', () => {
    const earlier = parseShellAssignments('BASE=/srv/ltsp', 'one');
    expect(parseShellAssignments('\nIMG="$BASE/images"', 'two', earlier)).toEqual(
      new Map([['IMG', { value: '/srv/ltsp/images', file: 'two', line: 2 }]]),
    );
  });

  test('the line is the one where the assignment begins', () => {
    const found = parseShellAssignments('# c\nA="x\ny" B=1\nC=1 \\\nD=2\n', 'f');
    expect([...found].map(([name, { line }]) => [name, line])).toEqual([
      ['A', 2],
      ['B', 3],
      ['C', 4],
      ['D', 5],
    ]);
  });
});

describe('what is refused, with file and line', () => {
  test.each<[string, string]>([
    ['A=$(id)', 'f:1: $( would run a command'],
    ['\nA="$(id)"', 'f:2: $( would run a command'],
    ['A="x `id`"', 'f:1: backquotes would run a command'],
    ['A=`id`', 'f:1: unquoted ` in a value'],
    ['A=1; B=2', 'f:1: unquoted ; in a value'],
    ['A=1|cat', 'f:1: unquoted | in a value'],
    ['A=1&', 'f:1: unquoted & in a value'],
    ['A=1 >x', 'f:1: ">x" is no NAME="VALUE"'],
    ['A=(a b)', 'f:1: unquoted ( in a value'],
    ['reboot', 'f:1: "reboot" is no NAME="VALUE"'],
    ['A=1 reboot', 'f:1: "reboot" is no NAME="VALUE"'],
    ['if true; then\nA=1\nfi', 'f:1: "if" is no NAME="VALUE"'],
    ['. /etc/x', 'f:1: "." is no NAME="VALUE"'],
    ['A+=1', 'f:1: "A+=1" is no NAME="VALUE"'],
    ['A = 1', 'f:1: "A" is no NAME="VALUE"'],
    ['1A=1', 'f:1: "1A=1" is no NAME="VALUE"'],
    ['A=1\nexport\n', 'f:2: export without NAME="VALUE"'],
    ['export -p', 'f:1: "-p" is no NAME="VALUE"'],
    ['\n\nA=$B', 'f:3: B is not set before this line'],
    ['A="${B}" B=1', 'f:1: B is not set before this line'],
    ['B=1\nA=${B:-2}', "f:2: only ${NAME} is understood of the shell's ${…}"],
    ['A=$1', 'f:1: $1 is not understood'],
    ['A="$$"', 'f:1: $$ is not understood'],
    ["A=$'x'", "f:1: $' is not understood"],
    ['A=~/x', 'f:1: ~ is not looked up'],
    ['A=x:~/y', 'f:1: ~ is not looked up'],
    ['A=1\n\nB="x\ny\n', 'f:3: the quote " is never closed'],
    ["A='x\n", "f:1: the quote ' is never closed"],
    ['A=1\r\n', 'f:1: the line ends as on Windows'],
    ['A=\0', 'f:1: a NUL byte'],
    [`A=x\n${'A=$A$A\n'.repeat(40)}`, 'f:18: the value is longer than 65536 characters'],
  ])('%j', (text, message) => {
    expect(() => parseShellAssignments(text, 'f')).toThrow(UsageError);
    expect(() => parseShellAssignments(text, 'f')).toThrow(message);
  });
});

/** Pieces of shell text in which assignments are likely. */
const shellText = fc
  .array(
    fc.oneof(
      fc.constantFrom('A=', 'B=', 'C=', ' ', '\n', '"', "'", '\\', '$A', '${B}', '$', '#', 'export ', '~', ':', '\t'),
      fc.constantFrom(
        'x',
        'y z',
        '`',
        ';',
        '|',
        '&',
        '(',
        ')',
        '<',
        '>',
        '*',
        '[',
        '{',
        '}',
        '!',
        '=',
        '\r',
        '1',
        '%',
        '?',
      ),
    ),
    { maxLength: 25 },
  )
  .map((pieces) => pieces.join(''));

test('any text gives values or a UsageError that begins with file and line', () => {
  fc.assert(
    fc.property(fc.oneof(shellText, fc.string({ unit: 'binary', maxLength: 200 })), (text) => {
      try {
        for (const { line } of parseShellAssignments(text, 'f').values()) expect(line).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect(String(error)).toMatch(/^UsageError: f:\d+: /);
      }
    }),
    { numRuns: 3000 },
  );
});

describe('beside the real sh', () => {
  let directory: string;
  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'shell-assignments-'));
  });
  afterAll(() => fs.rmSync(directory, { recursive: true }));

  test('what is understood has the values that sh gives it, and runs nothing', () => {
    const file = path.join(directory, 'file');
    let compared = 0;
    fc.assert(
      fc.property(shellText, (tail) => {
        const text = `A=a B=b C=c\n${tail}`;
        let mine: Record<string, string>;
        try {
          mine = values(text);
        } catch {
          return;
        }
        compared += 1;
        fs.writeFileSync(file, text);
        const script = '. ./file; printf "%s\\0" "$A" "$B" "$C"';
        const options = { cwd: directory, encoding: 'utf8', env: { PATH: '/nonexistent' }, stdio: 'pipe' } as const;
        const said = execFileSync('/bin/sh', ['-e', '-c', script], options);
        expect(said.split('\0').slice(0, 3)).toEqual([mine.A, mine.B, mine.C]);
        expect(fs.readdirSync(directory)).toEqual(['file']);
      }),
      { numRuns: 2000 },
    );
    expect(compared).toBeGreaterThan(100);
  });
});
