import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keyFileValue, parseKeyFile } from '../../../src/serve/nbd/key-file.ts';

it('has sections with their keys, and what stands twice is one section whose later value counts', () => {
  const text =
    '# comment\n[generic]\n\tuser = nbd\n  port=10810\n\n[/opt/ltsp/a b]\nexportname = /x y\n[generic]\nuser = root\n';
  expect(parseKeyFile(text)).toEqual({
    sections: [
      {
        name: 'generic',
        values: new Map([
          ['user', 'root'],
          ['port', '10810'],
        ]),
      },
      { name: '/opt/ltsp/a b', values: new Map([['exportname', '/x y']]) },
    ],
    problems: [],
  });
});

it.each([
  ['user = nbd\n', '1: user = nbd'],
  ['[a]\nnonsense\n', '2: nonsense'],
  ['[a\n', '1: [a'],
  ['[a]\n= x\n', '2: = x'],
])('%j is not taken: %s', (text, problem) => {
  expect(parseKeyFile(text).problems).toEqual([problem]);
});

it('a value that was written reads back the same', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const { sections } = parseKeyFile(`[a]\nkey = ${keyFileValue(text)}\n`);
      expect(sections[0]?.values.get('key')).toBe(text);
    }),
  );
});
