import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { CancelledError, UserError } from '../errors.ts';
import { confined } from './processes.ts';

/** One line of /proc/self/mountinfo (proc(5)): where, of which file system type, and its device as `major:minor`. */
export type Mount = { target: string; type: string; device: string };

/** The mounts that this process sees, in the order they were made. */
export function mounts(): Mount[] {
  return parseMountinfo(fs.readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** Parses proc(5)'s mountinfo: octal escapes for space, tab, newline and backslash; optional fields end with ` - `. */
export function parseMountinfo(text: string): Mount[] {
  const result: Mount[] = [];
  for (const line of text.split('\n')) {
    const [before, after] = line.split(' - ', 2);
    const fields = before?.split(' ') ?? [];
    const [, , device, , target] = fields;
    const type = after?.split(' ', 1)[0];
    if (device === undefined || target === undefined || type === undefined) continue;
    result.push({
      target: target.replace(/\\([0-7]{3})/g, (_, o) => String.fromCharCode(parseInt(o, 8))),
      type,
      device,
    });
  }
  return result;
}

/** An image mounted read-only where only this job sees it. `root` is its root directory, readable from this process. */
export type MountedImage = { root: string; close: () => Promise<void> };

/**
 * Mounts a squashfs image by loop in a mount namespace of its own, read-only, without devices, setuid programs and
 * programs at all. The mount and its loop device go with `close`, with the end of this process and with `signal`.
 * @param mountPoint an existing empty directory; other jobs may use the same one, each has its own namespace
 * @throws UserError with what mount(8) said
 */
export async function mountImage(image: string, mountPoint: string, signal?: AbortSignal): Promise<MountedImage> {
  if (signal?.aborted === true) throw new CancelledError('the mount was stopped');
  const options = 'loop,ro,nodev,nosuid,noexec';
  const script = `mount -t squashfs -o ${options} -- "$1" "$2" && echo mounted && exec cat`;
  const [file, args] = confined('sh', ['-c', script, 'sh', image, mountPoint]);
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  const onAbort = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      let stderr = '';
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      child.stdout.once('data', () => resolve());
      child.once('error', reject);
      child.once('close', () => {
        if (signal?.aborted) return reject(new CancelledError('the mount was stopped'));
        reject(new UserError(`cannot mount ${image}: ${stderr.trim().replaceAll('\n', '; ') || 'mount was killed'}`));
      });
    });
    const inside = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    return { root: path.join('/proc', inside, 'root', mountPoint), close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
