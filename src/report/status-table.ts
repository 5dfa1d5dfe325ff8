import { humanAge, humanSize } from './amounts.ts';
import { printable } from './printable.ts';
import type { ChrootStatus, Rendering } from './status.ts';
import { type Row, table } from './table.ts';

const HEADER: Row = { cells: ['NAME', 'STATE', 'AGE', 'SIZE', 'CLIENTS'], text: 'REASON' };
const STATE_COLUMN = 1;

/** SGR codes of ECMA-48: green, yellow, red, faint. */
const COLOUR: Record<string, number> = {
  current: 32,
  building: 33,
  waiting: 33,
  held: 33,
  quarantined: 31,
  'never-built': 31,
  absent: 2,
};

/** One row for each chroot: the age and size of the image that clients get, how many run, and why things are so. */
export function statusTable(chroots: readonly ChrootStatus[], { now, width, colour }: Rendering): string[] {
  const paint = (cell: string, column: number): string => {
    const code = column === STATE_COLUMN && colour === 'colour' ? COLOUR[cell] : undefined;
    return code === undefined ? cell : `\x1b[${code}m${cell}\x1b[0m`;
  };
  return table(
    HEADER,
    chroots.map((chroot) => rowOf(chroot, now)),
    width,
    paint,
  );
}

function rowOf({ name, state, reason, current, clients, hold, progress }: ChrootStatus, now: number): Row {
  const age = current === null || current.builtAt === '' ? '-' : humanAge(now - Date.parse(current.builtAt));
  const size = current === null ? '-' : humanSize(current.size);
  const shown = state === 'current' && hold !== undefined ? 'held' : state;
  const percents = typeof progress?.percent === 'number' ? ` ${Math.floor(progress.percent)} %` : '';
  return {
    cells: [printable(name), shown, age, size, String(clients.length)],
    text: printable(`${reason}${percents}`),
  };
}
