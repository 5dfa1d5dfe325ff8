import fs from 'node:fs';
import path from 'node:path';
import { hasCode } from '../errors.ts';
import { cannotWrite, makeDirectory, syncDirectory } from '../system/durable.ts';
import { fault } from '../system/faults.ts';

const NEWLINE = 0x0a;
const PIECE = 65_536;

/** Appends one value as a line of JSON, durably. A half line that a crash left at the end stays a line of its own. */
export function appendLine(file: string, value: unknown, mode = 0o600): void {
  makeDirectory(path.dirname(file));
  const isNew = !fs.existsSync(file);
  const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT, mode);
  try {
    const text = `${hasOpenLine(fd) ? '\n' : ''}${JSON.stringify(value)}\n`;
    fault('history.write');
    fs.writeFileSync(fd, text);
    fault('history.sync');
    fs.fsyncSync(fd);
  } catch (error) {
    throw cannotWrite(file, error);
  } finally {
    fs.closeSync(fd);
  }
  if (!isNew) return;
  fault('history.sync-directory');
  syncDirectory(path.dirname(file));
}

/**
 * The last values of a file of JSON lines, oldest first, read from its end: memory is bounded by `limit`, not by the
 * file. Lines that are not whole, such as the last one after a crash, are left out.
 * @param parse returns undefined for a value that makes no sense
 */
export function lastLines<T>(file: string, limit: number, parse: (value: unknown) => T | undefined): T[] {
  let fd: number;
  try {
    fd = fs.openSync(file, 'r');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
  try {
    const newestFirst: T[] = [];
    for (const line of linesFromEnd(fd)) {
      if (newestFirst.length >= limit) break;
      const value = parseLine(line, parse);
      if (value !== undefined) newestFirst.push(value);
    }
    return newestFirst.reverse();
  } finally {
    fs.closeSync(fd);
  }
}

/** The file's lines as bytes, last one first. */
function* linesFromEnd(fd: number): Generator<Buffer> {
  /** Pieces of a line whose beginning has not been read yet, last one first. */
  let tail: Buffer[] = [];
  for (let end = fs.fstatSync(fd).size; end > 0; ) {
    const start = Math.max(0, end - PIECE);
    let piece = Buffer.alloc(end - start);
    piece = piece.subarray(0, fs.readSync(fd, piece, 0, piece.length, start));
    for (let at = piece.lastIndexOf(NEWLINE); at >= 0; at = piece.lastIndexOf(NEWLINE)) {
      yield Buffer.concat([piece.subarray(at + 1), ...tail.reverse()]);
      tail = [];
      piece = piece.subarray(0, at);
    }
    tail.push(piece);
    end = start;
  }
  yield Buffer.concat(tail.reverse());
}

function parseLine<T>(line: Buffer, parse: (value: unknown) => T | undefined): T | undefined {
  try {
    return parse(JSON.parse(line.toString('utf8')));
  } catch {
    // a half line
    return undefined;
  }
}

/** True when the file's last line is not ended. */
function hasOpenLine(fd: number): boolean {
  const { size } = fs.fstatSync(fd);
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  fs.readSync(fd, last, 0, 1, size - 1);
  return last[0] !== NEWLINE;
}
