import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { addAbortSignal, type Readable } from 'node:stream';
import zlib from 'node:zlib';
import { confined } from '../../system/processes.ts';
import type { Compression, Tool } from './compression.ts';

/** It cannot be unpacked: it is damaged or ends too early. The message ends a sentence that begins with its name. */
export class DamagedError extends Error {
  override name = 'DamagedError';
}

/** The server has no program to unpack it with. */
export class NoToolError extends Error {
  override name = 'NoToolError';
}

/**
 * Unpacks `source` and hands over what comes; an error that `onData` throws ends it.
 * @returns how many bytes of the source belong to what was unpacked; null when all do, as far as can be known
 * @throws DamagedError, NoToolError, an AbortError, or what `onData` throws
 */
export async function decompress(
  source: Readable,
  { by, name }: Compression,
  onData: (data: Buffer) => void,
  signal: AbortSignal,
): Promise<number | null> {
  if (by === 'zlib') return gunzip(source, onData, signal);
  await unpackByTool(source, by, name, onData, signal);
  return null;
}

async function gunzip(source: Readable, onData: (data: Buffer) => void, signal: AbortSignal): Promise<number> {
  const unpacked = zlib.createGunzip();
  addAbortSignal(signal, unpacked);
  // not pipeline(): what follows the end of the last member is nothing to gunzip, and is not taken
  source.on('error', (error) => unpacked.destroy(error)).pipe(unpacked);
  try {
    for await (const chunk of unpacked) onData(chunk);
    return unpacked.bytesWritten;
  } catch (error) {
    // zlib's own codes: Z_BUF_ERROR for an end that comes too early, Z_DATA_ERROR …
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) {
      throw new DamagedError(`cannot be unpacked (gzip: ${error.message})`);
    }
    throw error;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

/**
 * Not by `run`: that keeps text, and this is bytes by the hundred megabytes. Confined all the same, so that it ends with
 * us; and with no file but the pipe to read from.
 */
async function unpackByTool(
  source: Readable,
  { command, args, package_ }: Tool,
  name: string,
  onData: (data: Buffer) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const [file, fileArgs] = confined(command, args);
  const child = spawn(file, fileArgs, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C.UTF-8' } });
  const ended = once(child, 'close');
  ended.catch(() => {});
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    if (said.length < 2000) said += data.toString();
  });
  // the program may end before it has read everything
  child.stdin.on('error', () => source.destroy());
  let unreadable: Error | undefined;
  source.on('error', (error) => {
    unreadable = error;
    child.stdin.destroy();
  });
  source.pipe(child.stdin);
  addAbortSignal(signal, child.stdout);
  try {
    for await (const chunk of child.stdout) onData(chunk);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    source.destroy();
    child.stdin.destroy();
    await ended;
  }
  if (unreadable !== undefined) throw unreadable;
  // unshare says with 127 that there is no such program
  if (child.exitCode === 127) throw new NoToolError(`${command} is not installed (apt-get install ${package_})`);
  if (child.exitCode !== 0) {
    const line = said.trim().split('\n').at(-1) ?? '';
    throw new DamagedError(`cannot be unpacked (${name}: ${line === '' ? `${command} failed` : line})`);
  }
}
