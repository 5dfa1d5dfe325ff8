import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { hasCode, messageOf, UserError } from '../errors.ts';
import { fault, type Linked, type Removed, type Written } from './faults.ts';

/** A name beside `file` that no other program uses; hidden, so that no pattern such as `*.img` matches it. */
function temporaryName(file: string): string {
  return path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
}

/** Matches the names that `writeDurably` and `linkOver` use while they work; what a crash left of them may be removed. */
export const TEMPORARY_NAME = /^\..*\.[0-9a-f]{12}\.tmp$/;

/** fsync(2) of a directory: names made, changed or removed in it survive a power cut from here on. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** fsync(2) of files' data, without holding anything else up meanwhile. */
export async function syncFiles(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const handle = await fs.promises.open(file, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/**
 * Replaces a file's content as a whole: write, fsync, rename, fsync of the directory. A reader, and a start after a
 * power cut, finds the former content or the new one.
 * @param as what it is, for its fault points; without, it has none
 * @throws UserError with the file and the system's `code`
 */
export function writeDurably(file: string, data: string | Uint8Array, mode = 0o640, as?: Written): void {
  const temporary = temporaryName(file);
  try {
    const fd = fs.openSync(temporary, 'wx', mode);
    try {
      if (as !== undefined) fault(`${as}.write`);
      fs.writeFileSync(fd, data);
      if (as !== undefined) fault(`${as}.sync`);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    if (as !== undefined) fault(`${as}.rename`);
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw cannotWrite(file, error);
  }
  if (as !== undefined) fault(`${as}.sync-directory`);
  syncDirectory(path.dirname(file));
}

/** The system's error with the file that it is about, which it does not name for a descriptor; `code` stays. */
export function cannotWrite(file: string, error: unknown): UserError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const hint = hasCode(error, 'ENOSPC', 'EDQUOT') ? ' (make room there)' : '';
  return Object.assign(new UserError(`cannot write ${file}: ${messageOf(error)}${hint}`, { cause: error }), { code });
}

/**
 * Makes `file` a hard link to what `existing` is, replacing what was there, with no instant without it; durable on
 * return. Nothing happens when both are one inode already: rename(2) between two links of one inode is a no-op that
 * would leave the temporary name behind.
 */
export function linkOver(existing: string, file: string, as: Linked): void {
  if (sameFile(existing, file)) return;
  const temporary = temporaryName(file);
  fault(`${as}.link`);
  fs.linkSync(existing, temporary);
  try {
    fault(`${as}.rename`);
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  fault(`${as}.sync-directory`);
  syncDirectory(path.dirname(file));
}

/** True when both paths (last part not followed) are the same inode. */
export function sameFile(one: string, other: string): boolean {
  const a = fs.lstatSync(one, { bigint: true, throwIfNoEntry: false });
  const b = fs.lstatSync(other, { bigint: true, throwIfNoEntry: false });
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Removes a name durably; one that is not there is no error. */
export function removeDurably(file: string, as: Removed): void {
  fault(`${as}.remove`);
  fs.rmSync(file, { force: true });
  fault(`${as}.sync-directory`);
  if (fs.existsSync(path.dirname(file))) syncDirectory(path.dirname(file));
}

/** Makes a directory and what is missing above it, durably; one that is there stays as it is. */
export function makeDirectory(directory: string, mode = 0o700): void {
  const first = fs.mkdirSync(directory, { recursive: true, mode });
  if (first === undefined) return;
  for (let made = path.resolve(directory); made.length >= first.length; made = path.dirname(made)) {
    syncDirectory(path.dirname(made));
  }
}
