import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { messageOf, UserError } from '../../errors.ts';
import { makeDirectory, removeDurably, writeDurably } from '../../system/durable.ts';
import type { ExportPlan } from './export.ts';

/** The files that are written, null where nothing is: what a step's undo needs, plain JSON. */
const written = z.object({ file: z.string(), text: z.string() });
export const exportWriteSchema = written.extend({ allow: written.nullable() }).nullable();
export type ExportWrite = z.infer<typeof exportWriteSchema>;

/** What `writeExport` will do and `undoExport` takes back. */
export function exportWriteOf(plan: ExportPlan): ExportWrite {
  return plan.kind === 'write' ? { file: plan.file, text: plan.text, allow: plan.allow } : null;
}

/**
 * Writes an export durably; the server still has to be told (`announceExport`). A file of that name that came up in the
 * meantime is left alone. May run twice.
 * @throws UserError when it cannot be written
 */
export function writeExport(write: ExportWrite): void {
  if (write === null) return;
  // the list first: an export without it is open to everyone
  if (write.allow !== null) writeNew(write.allow);
  writeNew(write);
}

function writeNew({ file, text }: { file: string; text: string }): void {
  try {
    if (isThere(file)) return;
    makeDirectory(path.dirname(file), 0o755);
    // nbd-server reads it again as the user that it became, so everyone may, whatever the umask is
    writeDurably(file, text, 0o644, 'export');
    fs.chmodSync(file, 0o644);
  } catch (error) {
    throw new UserError(`cannot write the export ${file}: ${messageOf(error)}`, { cause: error });
  }
}

/** Removes what `writeExport` wrote, unless somebody has changed it since. May run twice. */
export function undoExport(write: ExportWrite): void {
  if (write === null) return;
  removeOwn(write);
  if (write.allow !== null) removeOwn(write.allow);
}

function removeOwn({ file, text }: { file: string; text: string }): void {
  if (!isThere(file)) return;
  // a link or directory is not ours, and a FIFO would make us wait
  if (!fs.lstatSync(file).isFile() || fs.readFileSync(file, 'utf8') !== text) return;
  removeDurably(file, 'export');
}

/** Also true for a link that leads nowhere: the admin put it there. */
function isThere(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
