import { expect, test } from 'vitest';
import { displayEntry, displayPath } from '../../src/tree/display.ts';

test.each([
  ['usr/bin/perl', 'usr/bin/perl'],
  ['with blank', 'with blank'],
  ['back\\slash', 'back\\slash'],
  ['caf\xc3\xa9', 'café'],
  ['caf\xe9', 'caf\\xe9'],
  ['\xc3\xa9\xe9\xc3\xa9', 'é\\xe9é'],
  ['\xe2\x82\xac \xf0\x9f\x90\xa7', '€ 🐧'],
  ['cut \xe2\x82', 'cut \\xe2\\x82'],
  ['surrogate \xed\xa0\x80', 'surrogate \\xed\\xa0\\x80'],
  ['overlong \xc0\xaf', 'overlong \\xc0\\xaf'],
  ['line\nbreak\ttab', 'line\\x0abreak\\x09tab'],
  ['\x1b[31mred', '\\x1b[31mred'],
  ['del\x7f', 'del\\x7f'],
  ['c1 \xc2\x9b31m', 'c1 \\xc2\\x9b31m'],
  ['turned \xe2\x80\xaegnp', 'turned \\xe2\\x80\\xaegnp'],
  ['', ''],
])('%j is shown as %s', (bytes, shown) => {
  expect(displayPath(bytes)).toBe(shown);
});

test('the root of a tree has a name in words', () => {
  expect(displayEntry('')).toBe('the top directory');
  expect(displayEntry('etc')).toBe('etc');
});
