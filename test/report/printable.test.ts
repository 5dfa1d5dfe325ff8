import { expect, it } from 'vitest';
import { printable } from '../../src/report/printable.ts';

it('lets no control character through to a terminal', () => {
  expect(printable('a\x1b[2J\x07b\u009bc')).toBe('a?[2J?b?c');
});

it('keeps letters of every language and makes one line of several', () => {
  expect(printable('Müller σχολείο\nzwei\r\ndrei')).toBe('Müller σχολείο zwei drei');
});
