import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { excludeNothing, excludePatternOf, excluderOf, readExcludes } from '../../src/tree/excludes.ts';
import { walk } from '../../src/tree/walk.ts';

let directory: string;
let source: string;

const FILES = [
  'a/b/c/x.o',
  'a/b/.hid/deep',
  'a/.dot',
  'a/x.o',
  'a/x.c',
  'b/a/b/file',
  'b/a/.dot',
  'd/a',
  'd/[ab]',
  '.hid/a/b',
  '.hid/x.o',
  'x.o',
  '*star',
  '#hash',
  ' lead',
  'trail ',
  'with blank/a b',
  'line\nbreak/a',
  'back\\slash',
  'a(b)',
  '... dots/a',
  'caf\xe9/x', // not UTF-8
  '\xc3\xa9', // é
];

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'excludes-'));
  source = path.join(directory, 'source');
  for (const file of FILES) {
    const bytes = Buffer.from(`${source}/${file}`, 'latin1');
    fs.mkdirSync(bytes.subarray(0, bytes.lastIndexOf('/')), { recursive: true });
    fs.writeFileSync(bytes, 'x');
  }
});

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

describe('patterns leave out what mksquashfs leaves out', () => {
  test.each<[string, ...string[]]>([
    ['a'],
    ['a/b'],
    ['a//b/'],
    ['a/'],
    ['a/*'],
    ['a/.*'],
    ['*/b'],
    ['*'],
    ['.*'],
    ['*/*'],
    ['?'],
    ['??'],
    ['... *.o'],
    ['... a'],
    ['... /a'],
    ['...  lead'],
    ['... '],
    ['...'],
    ['... .*'],
    ['\\... dots'],
    ['... dots'],
    ['!(a)'],
    ['!(a|b)/a'],
    ['a/!(b)'],
    ['@(a|b)/@(b|a)'],
    ['+(a|b)'],
    ['*(x).o'],
    ['?(x).o'],
    ['@(a/b)'],
    ['a(b)'],
    ['[ab]'],
    ['[!a]'],
    ['[[:alpha:]]/a'],
    ['['],
    ['d/[ab]'],
    ['d/\\[ab]'],
    ['\\*star'],
    ['\\*'],
    ['*star'],
    ['\\a/\\b'],
    ['#hash'],
    [' lead'],
    ['trail '],
    ['trail'],
    ['with blank/a b'],
    ['with\\ blank/*'],
    ['line?break/a'],
    ['line*'],
    ['back\\\\slash'],
    ['back\\slash'],
    ['back\\\\'],
    ['caf\xe9'],
    ['caf?'],
    ['\xc3\xa9'],
    ['[\xc3\xa9]'],
    ['[\xe0-\xef]'],
    ['a/b/c/x.o/more/than/there/is'],
    ['a/b', 'a'],
    ['a', 'a/b'],
    ['a/b/c', 'a/b/.hid', 'b'],
    ['*/b', 'a/x.o', '... .dot'],
    ['*/*/b', 'b/*/.dot'],
    ['a*', 'a*/b'],
    ['..'],
    ['a/../b'],
    ['a/./b'],
  ])('%j', (...patterns) => {
    expect(ourPaths(patterns)).toEqual(mksquashfsPaths(patterns));
  });

  test('any mix of them', () => {
    const component = fc.constantFrom(
      ...['a', 'b', '.hid', '*', '?', '.*', 'a*', '*.o', '[ab]', '[!a]', '@(a|b)', '!(a)', '!(*.o)', '+(a)', '\\a', ''],
    );
    const rooted = fc.array(component, { minLength: 1, maxLength: 3 }).map((components) => components.join('/'));
    const sticky = component.map((one) => `... ${one}`);
    const pattern = fc.oneof({ weight: 3, arbitrary: rooted }, sticky).filter((text) => !text.startsWith('/'));
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), (patterns) => {
        expect(ourPaths(patterns)).toEqual(mksquashfsPaths(patterns));
      }),
      { numRuns: 25 },
    );
  });
});

test.each([['/a'], ['./a'], ['../a']])('%s is refused, as mksquashfs does, with what to write', (pattern) => {
  expect(() => excluderOf([pattern])).toThrow(UsageError);
  expect(() => excluderOf([pattern])).toThrow('(write a)');
  expect(() => mksquashfsPaths([pattern])).toThrow();
});

test('more than one name behind ... is refused: versions of mksquashfs do not agree on it', () => {
  expect(() => excluderOf(['... a/b'])).toThrow(UsageError);
  expect(() => excluderOf(['... a/b'])).toThrow('(write one name there)');
});

test('an excludes file is read as mksquashfs reads it', () => {
  const file = path.join(directory, 'lines.excludes');
  const lines = [
    '# a comment',
    '',
    '   ',
    '  a/b',
    '\\#hash',
    '\\ lead',
    'trail ',
    '\t... x.o',
    '\r',
    '\\\\*star',
    '  # b',
  ];
  fs.writeFileSync(file, lines.join('\n'));
  const patterns = readExcludes(file);
  expect(patterns).toEqual(['a/b', '#hash', ' lead', 'trail ', '... x.o', '\\*star']);
  expect(ourPaths(patterns)).toEqual(pathsOfImage(file));
});

test('an excludes file that is not there has no patterns', () => {
  expect(readExcludes(path.join(directory, 'nothing'))).toEqual([]);
});

test('a pattern that mksquashfs refuses is named with file and line', () => {
  const file = path.join(directory, 'bad.excludes');
  fs.writeFileSync(file, 'a\n\n/tmp/*\n');
  expect(() => readExcludes(file)).toThrow(UsageError);
  expect(() => readExcludes(file)).toThrow(`${file} line 3`);
});

test('the pattern of a path leaves out this path and no other', () => {
  const everything = ourPaths([]);
  for (const one of everything.filter((each) => each !== '')) {
    const others = everything.filter((each) => each !== one && !each.startsWith(`${one}/`));
    const pattern = excludePatternOf(one);
    expect(ourPaths([pattern]), pattern).toEqual(others);
    expect(mksquashfsPaths([pattern]), pattern).toEqual(others);
  }
});

test('a name that no pattern can match below costs no new excluder', () => {
  const excluder = excluderOf(['a/b', 'c/*']);
  expect(excluder.descend('other')).toBe(excluder.descend('another'));
  expect(excluder.descend('other')).toEqual({ excluded: false, below: excludeNothing });
});

function ourPaths(patterns: readonly string[]): string[] {
  return pathsOf(source, patterns);
}

function mksquashfsPaths(patterns: readonly string[]): string[] {
  const file = path.join(directory, 'patterns');
  // a backslash at the beginning is dropped: whatever follows is the pattern
  fs.writeFileSync(file, patterns.map((pattern) => `\\${pattern}\n`).join(''), 'latin1');
  return pathsOfImage(file);
}

function pathsOfImage(excludesFile: string): string[] {
  const image = path.join(directory, 'image');
  const unpacked = path.join(directory, 'unpacked');
  const options = ['-noappend', '-quiet', '-no-progress', '-noD', '-noI', '-noF'];
  fs.rmSync(unpacked, { recursive: true, force: true });
  execFileSync('mksquashfs', [source, image, '-wildcards', '-ef', excludesFile, ...options], { stdio: 'ignore' });
  execFileSync('unsquashfs', ['-quiet', '-no-progress', '-d', unpacked, image], { stdio: 'ignore' });
  return pathsOf(unpacked, []);
}

function pathsOf(root: string, patterns: readonly string[]): string[] {
  return walk(root, { exclude: excluderOf(patterns), ignore: excludeNothing }).map((entry) => entry.path);
}

test('refuses a pattern that is longer than any path', () => {
  expect(() => excluderOf(['a/'.repeat(3000)])).toThrow('cannot use an exclude pattern of 6000 bytes');
});
