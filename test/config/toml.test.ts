import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type KeyPath, parseToml } from '../../src/config/toml.ts';
import { UsageError } from '../../src/errors.ts';

describe('values', () => {
  test.each<[string, unknown]>([
    ['', {}],
    ['a = 1\nb = "x"\nc = true\nd = 0.5', { a: 1, b: 'x', c: true, d: 0.5 }],
    ['[t]\na = [1, [2, "x"]]', { t: { a: [1, [2, 'x']] } }],
    ['[a.b]\nc = 1\n[a]\nd = 2', { a: { b: { c: 1 }, d: 2 } }],
    ['a.b.c = 1\na.d = 2', { a: { b: { c: 1 }, d: 2 } }],
    ['t = { a = 1, b.c = [{ d = 2 }] }', { t: { a: 1, b: { c: [{ d: 2 }] } } }],
    ['[[t]]\na = 1\n[[t]]\na = 2\n[t.u]\nb = 3', { t: [{ a: 1 }, { a: 2, u: { b: 3 } }] }],
    ['[chroot."x.y"]\na = 1', { chroot: { 'x.y': { a: 1 } } }],
    ['[empty]', { empty: {} }],
    ['constructor = 1\ntoString = 2', { constructor: 1, toString: 2 }],
  ])('%j', (text, expected) => {
    expect(JSON.parse(JSON.stringify(parseToml(text, 'f').value))).toEqual(expected);
  });

  test('a key named __proto__ is a key like any other', () => {
    const { value } = parseToml('__proto__ = 1\n[a.__proto__]\nb = 2', 'f');
    expect(Object.keys(value)).toEqual(['__proto__', 'a']);
    expect('b' in {}).toBe(false);
  });
});

describe('places', () => {
  const text = '# c\nbase = "/x"\n[watch]\nquiet = "5s"\npaths = [\n  "a",\n  "b",\n]\n[chroot.amd64]\nbuild.level = 0';
  test.each<[KeyPath, string, string]>([
    [['base'], 'f:2', '"/x"'],
    [['watch'], 'f:3', ''],
    [['watch', 'quiet'], 'f:4', '"5s"'],
    [['watch', 'paths'], 'f:5', '[ "a", "b", ]'],
    [['watch', 'paths', 1], 'f:7', '"b"'],
    [['watch', 'nothing'], 'f:3', ''],
    [['chroot', 'amd64', 'build', 'level'], 'f:10', '0'],
    [['nothing'], 'f:1', ''],
  ])('%j', (path, where, written) => {
    const document = parseToml(text, 'f');
    expect(document.where(path)).toBe(where);
    expect(document.written(path)).toBe(written);
  });
});

describe('syntax errors, with file and line', () => {
  test.each<[string, string]>([
    ['a = 1\nb =', 'f:2: not valid TOML: '],
    ['a = 1\nb =\n\n', 'f:2: not valid TOML: '],
    ['# c\nwords\nb = 1\n', 'f:2: not valid TOML: '],
    ['a = 1\na = 2', 'f:2: not valid TOML: '],
    ['[t]\na = 1\n[t]\n', 'f:3: not valid TOML: '],
    ['a = yes', 'f:1: not valid TOML: '],
    ['a = "x', 'f:1: not valid TOML: '],
    ['\n\nmode = 0640', 'f:3: not valid TOML: '],
    ['just words', 'f:1: not valid TOML: '],
    [`a = ${'['.repeat(20_000)}`, 'f:1: not valid TOML: '],
  ])('%#', (text, message) => {
    expect(() => parseToml(text, 'f')).toThrow(UsageError);
    expect(() => parseToml(text, 'f')).toThrow(message);
  });
});

const tomlText = fc
  .array(
    fc.constantFrom(
      ...[
        'a',
        'b',
        '.',
        ' = ',
        '\n',
        '[',
        ']',
        '[[',
        ']]',
        '{',
        '}',
        '"',
        "'",
        '"""',
        '#',
        ',',
        '1',
        '0x',
        '-',
        'true',
      ],
      ...[
        '1979-05-27',
        'inf',
        '\\u',
        '\\',
        '__proto__',
        'a = 1\n',
        '[a]\n',
        '[a.b]\n',
        'a.b = 2\n',
        '[[a]]\n',
        '\r',
        '\t',
      ],
    ),
    { maxLength: 20 },
  )
  .map((pieces) => pieces.join(''));

test('any text gives a table or a UsageError that begins with file and line', () => {
  fc.assert(
    fc.property(fc.oneof(tomlText, fc.string({ unit: 'binary', maxLength: 200 })), (text) => {
      try {
        expect(typeof parseToml(text, 'f').value).toBe('object');
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect(String(error)).toMatch(/^UsageError: f:\d+: /);
      }
    }),
    { numRuns: 5000 },
  );
});
