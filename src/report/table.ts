import { wrapped } from './wrapped.ts';

/** Cells of one line of a table; the last one is text that may be long. */
export type Row = { cells: readonly string[]; text: string };

const GAP = 2;
/** Below this many columns left for the text, it stands under its row. */
const NARROWEST_TEXT = 24;

/**
 * Lines of an aligned table that is at most `width` columns wide, as long as no single word is wider. Text that does not
 * fit beside the cells is wrapped; where there is hardly room for it, it goes below them, and so do the cells themselves
 * when they are too wide.
 * @param style colours a finished cell; it gets the cell's column, counted from 0
 */
export function table(
  header: Row,
  rows: readonly Row[],
  width: number,
  style: (cell: string, column: number) => string,
): string[] {
  const all = [header, ...rows];
  const widths = header.cells.map((_, column) => Math.max(...all.map(({ cells }) => cells[column]?.length ?? 0)));
  const used = widths.reduce((sum, one) => sum + one + GAP, 0);
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => style(cell, column) + ' '.repeat((widths[column] ?? 0) - cell.length + GAP)).join('');
  const beside = ({ cells, text }: Row): string[] => {
    const [first = '', ...more] = wrapped(text, width - used);
    return [`${line(cells)}${first}`.trimEnd(), ...more.map((part) => ' '.repeat(used) + part)];
  };
  const indented = (text: string): string[] => wrapped(text, width - GAP).map((part) => ' '.repeat(GAP) + part);
  const stacked = ({ cells: [head = '', ...rest] }: Row): string[] => [
    style(head, 0),
    `  ${rest.map((cell, index) => style(cell, index + 1)).join('  ')}`,
  ];

  if (width - used >= NARROWEST_TEXT) return all.flatMap(beside);
  if (used - GAP > width) return rows.flatMap((row) => [...stacked(row), ...indented(row.text)]);
  const below = rows.flatMap((row) => [line(row.cells).trimEnd(), ...indented(row.text)]);
  return [line(header.cells).trimEnd(), ...below];
}
