import type { CheckResult } from '../store/generation.ts';
import { printable } from './printable.ts';
import { table } from './table.ts';
import { wrapped } from './wrapped.ts';

/** What checks found in an image, for a person: a sentence, a table of check, result and time, then each warning. */
export function renderVerdict(file: string, results: readonly CheckResult[], width: number): string {
  const failed = results.filter((one) => !one.passed).length;
  const sentence =
    failed === 0 ? `${file} is sound.` : `${file} is not sound: ${failed} of ${results.length} checks failed.`;
  const rows = results.map(({ name, passed, message, took, warnings }) => ({
    cells: [name, passed ? (warnings.length > 0 ? 'warning' : 'passed') : 'failed', `${(took / 1000).toFixed(2)} s`],
    text: printable(message),
  }));
  const header = { cells: ['CHECK', 'RESULT', 'TIME'], text: 'WHAT WAS SEEN' };
  const warnings = results
    .flatMap((one) => one.warnings)
    .flatMap((one) => wrapped(`warning: ${printable(one)}`, width));
  const lines = [
    ...wrapped(sentence, width),
    '',
    ...table(header, rows, width, (cell) => cell),
    ...(warnings.length > 0 ? ['', ...warnings] : []),
  ];
  return `${lines.join('\n')}\n`;
}
