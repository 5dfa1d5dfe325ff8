import { expect, it } from 'vitest';
import { traces, withoutBraces } from '../../../src/build/cleanup/traces.ts';

it('braces stand for each of their choices', () => {
  expect(withoutBraces('etc/{a,b}{-,}.c')).toEqual(['etc/a-.c', 'etc/a.c', 'etc/b-.c', 'etc/b.c']);
  expect(withoutBraces('etc/a')).toEqual(['etc/a']);
});

it('every pattern is relative, leads nowhere up, and is not the root', () => {
  const patterns = traces.flatMap(({ remove = [], clear = [], empty = [] }) => [...remove, ...clear, ...empty]);
  const bad = patterns
    .flatMap(withoutBraces)
    .filter((pattern) => !/^[^/{}]+(\/[^/{}]+)*$/.test(pattern) || /(^|\/)\.\.?(\/|$)/.test(pattern));
  expect(bad).toEqual([]);
});
