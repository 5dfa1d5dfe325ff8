import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { table } from '../../src/report/table.ts';

const plain = (cell: string): string => cell;
const header = { cells: ['NAME', 'AGE'], text: 'REASON' };
const rows = [
  { cells: ['amd64', '3 d'], text: 'nothing changed since it was built' },
  { cells: ['i386', '12 min'], text: 'a package changed' },
];

describe('table', () => {
  it('aligns the cells and puts the text beside them', () => {
    expect(table(header, rows, 80, plain).join('\n')).toMatchInlineSnapshot(`
      "NAME   AGE     REASON
      amd64  3 d     nothing changed since it was built
      i386   12 min  a package changed"
    `);
  });

  it('wraps text between words where it is too long', () => {
    expect(table(header, rows, 42, plain).join('\n')).toMatchInlineSnapshot(`
      "NAME   AGE     REASON
      amd64  3 d     nothing changed since it
                     was built
      i386   12 min  a package changed"
    `);
  });

  it('puts the text below where there is hardly room beside, and stacks cells that are too wide together', () => {
    expect(table(header, rows, 20, plain).join('\n')).toMatchInlineSnapshot(`
      "NAME   AGE
      amd64  3 d
        nothing changed
        since it was built
      i386   12 min
        a package changed"
    `);
    expect(table(header, rows, 10, plain).join('\n')).toContain('amd64\n  3 d\n  nothing');
  });

  it('is never wider than asked for when no word is, and loses no word', () => {
    const word = fc.stringMatching(/^[a-z]{1,8}$/);
    const row = fc.record({
      cells: fc.tuple(word, word),
      text: fc.array(word, { maxLength: 12 }).map((w) => w.join(' ')),
    });
    fc.assert(
      fc.property(fc.array(row), fc.integer({ min: 12, max: 100 }), (some, width) => {
        const lines = table(header, some, width, plain);
        const words = lines.join(' ').split(' ').filter(Boolean);
        expect(Math.max(0, ...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
        const wanted = some.flatMap(({ cells, text }) => [...cells, ...text.split(' ')]).filter(Boolean);
        expect(words.filter((one) => one === one.toLowerCase()).sort()).toEqual(wanted.sort());
      }),
    );
  });

  it('aligns by the text of a cell, not by its colour', () => {
    const coloured = table(header, rows, 80, (cell, column) => (column === 0 ? `\x1b[32m${cell}\x1b[0m` : cell));
    expect(coloured.map((line) => line.replaceAll(/\x1b\[\d+m/g, ''))).toEqual(table(header, rows, 80, plain));
  });
});
