import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  absolutePath,
  directoryBelowRoot,
  durationText,
  fileMode,
  milliseconds,
  pathInside,
  pattern,
} from '../../src/config/values.ts';

test.each<[string, number | undefined]>([
  ['500ms', 500],
  ['5s', 5000],
  ['15m', 900_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['0s', 0],
  ['5', undefined],
  ['s', undefined],
  ['1.5h', undefined],
  ['-1s', undefined],
  ['5 s', undefined],
  ['5S', undefined],
  ['1h30m', undefined],
])('the duration %j is %j ms', (text, expected) => {
  expect(milliseconds(text)).toBe(expected);
});

test('a duration that is written down is read as the same', () => {
  fc.assert(
    fc.property(fc.nat(), fc.constantFrom(1, 1000, 60_000, 3_600_000), (count, unit) => {
      const value = (count % 1_000_000) * unit;
      expect(milliseconds(durationText(value))).toBe(value);
    }),
  );
  expect([900_000, 5000, 1500, 0, 604_800_000].map(durationText)).toEqual(['15m', '5s', '1500ms', '0s', '7d']);
});

const kinds = { absolutePath, directoryBelowRoot, fileMode, pathInside, pattern };

test.each<[keyof typeof kinds, string[], string[]]>([
  ['absolutePath', ['/', '/opt/ltsp', '/a b/'], ['', 'opt', './x', '/a\0b', '/a\nb']],
  ['directoryBelowRoot', ['/opt/ltsp', '/opt/ltsp/', '/.x', '/...'], ['/', '//', '/.', '/..', '/./', '/../', 'opt']],
  [
    'pathInside',
    ['etc', 'etc/ltsp', 'a..b', '..a', '.x', 'a/..b'],
    ['', '/etc', '..', '../x', 'a/../b', 'a/..', 'a\0'],
  ],
  ['pattern', ['var/log/*', '/var/log', '... core', '*'], ['', ' ', '/', 'a\nb']],
  [
    'fileMode',
    ['0640', '640', '0644', '0600', '0400'],
    ['0666', '0660', '0777', '0040', '0', '4640', '0x1a0', '0o640'],
  ],
])('%s takes %j and refuses %j', (kind, good, bad) => {
  const schema = kinds[kind]();
  expect(good.filter((text) => !schema.safeParse(text).success)).toEqual([]);
  expect(bad.filter((text) => schema.safeParse(text).success)).toEqual([]);
});

test('a mode is read as octal', () => {
  expect(fileMode().parse('0640')).toBe(0o640);
});
