import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { messageOf, UserError } from '../../errors.ts';
import { makeDirectory, removeDurably, writeDurably } from '../../system/durable.ts';
import type { ExportPlan } from './export.ts';

/** The file that is written, null where nothing is: what a step's undo needs, plain JSON. */
export const exportWriteSchema = z.object({ file: z.string(), text: z.string() }).nullable();
export type ExportWrite = z.infer<typeof exportWriteSchema>;

/** What `writeExport` will do and `undoExport` takes back. */
export function exportWriteOf(plan: ExportPlan): ExportWrite {
  return plan.kind === 'write' ? { file: plan.file, text: plan.text } : null;
}

/**
 * Writes an export durably; the server still has to be told (`announceExport`). A file of that name that came up in the
 * meantime is left alone. May run twice.
 * @throws UserError when it cannot be written
 */
export function writeExport(write: ExportWrite): void {
  if (write === null) return;
  try {
    if (isThere(write.file)) return;
    makeDirectory(path.dirname(write.file), 0o755);
    // nbd-server reads it again as the user that it became, so everyone may, whatever the umask is
    writeDurably(write.file, write.text, 0o644);
    fs.chmodSync(write.file, 0o644);
  } catch (error) {
    throw new UserError(`cannot write the export ${write.file}: ${messageOf(error)}`, { cause: error });
  }
}

/** Removes what `writeExport` wrote, unless somebody has changed it since. May run twice. */
export function undoExport(write: ExportWrite): void {
  if (write === null || !isThere(write.file)) return;
  // a link or directory is not ours, and a FIFO would make us wait
  if (!fs.lstatSync(write.file).isFile() || fs.readFileSync(write.file, 'utf8') !== write.text) return;
  removeDurably(write.file);
}

/** Also true for a link that leads nowhere: the admin put it there. */
function isThere(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}
