import { printable } from '../report/printable.ts';
import { connect } from './connect.ts';
import type { GlobalOptions } from './exit.ts';

/** `history [NAME] [--json]` */
export async function history(
  globals: GlobalOptions,
  name: string | undefined,
  options: { json?: true },
): Promise<number> {
  const { control, close } = await connect(globals, 'look');
  try {
    const entries = await control.history(name);
    if (options.json === true) process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    else if (entries.length === 0) process.stdout.write('nothing has happened yet\n');
    else
      for (const { at, event, message, clients = [] } of entries)
        process.stdout.write(`${local(at)}  ${event.padEnd(9)}  ${printable(`${message}${onIt(clients)}`)}\n`);
    return 0;
  } finally {
    await close();
  }
}

function onIt(clients: readonly string[]): string {
  if (clients.length === 0) return '';
  const are = clients.length === 1 ? '1 client runs' : `${clients.length} clients run`;
  return `; ${are} on it now: ${clients.join(', ')}`;
}

/** An ISO time as `2026-01-31 05:30`, in the machine's time zone. */
function local(iso: string): string {
  return new Date(iso).toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
