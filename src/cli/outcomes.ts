import type { Outcome } from '../report/control.ts';
import { printable } from '../report/printable.ts';

/** One line for each chroot: on standard output what is well, on standard error what is not or what one should know. */
export function sayOutcomes(outcomes: readonly Outcome[]): void {
  if (outcomes.length === 0) process.stdout.write('there is no chroot to build an image of\n');
  for (const { kind, message, notes = [] } of outcomes) {
    for (const note of notes) process.stderr.write(`warning: ${printable(note)}\n`);
    const well = ['published', 'unchanged', 'reverted', 'released', 'held'].includes(kind);
    (well ? process.stdout : process.stderr).write(`${printable(message)}\n`);
  }
}
