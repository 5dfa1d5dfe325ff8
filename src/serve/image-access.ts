import fs from 'node:fs';
import path from 'node:path';
import type { ChrootConfig, Config } from '../config/config.ts';
import { hasCode, UserError } from '../errors.ts';
import { readNbdServer } from './nbd/server.ts';

/** Permission bits and group id of an image file; `gid` null leaves the group as it is. */
export type ImageAccess = { mode: number; gid: number | null };

/**
 * Who may read an image. It holds the chroot's secrets, so only root and the group that nbd-server runs as may; where
 * NFS serves the base directory everyone may, since NFS checks the file's own mode.
 * @throws UserError when the configured group does not exist
 */
export function imageAccess(config: Config, serve: ChrootConfig['serve']): ImageAccess {
  if (serve.group !== 'auto') return { mode: serve.mode, gid: groupId(config, serve.group) };
  const mode = servedByNfs(config) ? serve.mode | 0o044 : serve.mode;
  return { mode, gid: nbdServerGroup(config) };
}

/** True when a line of /etc/exports or /etc/exports.d exports the base directory, one above it or one below it. */
export function servedByNfs(config: Config): boolean {
  const directory = path.join(config.root, '/etc/exports.d');
  const more = readable(() => fs.readdirSync(directory)) ?? [];
  const files = [path.join(config.root, '/etc/exports'), ...more.map((name) => path.join(directory, name))];
  const base = `${config.base.slice(config.root.length)}/`;
  return files
    .flatMap((file) => (readable(() => fs.readFileSync(file, 'utf8')) ?? '').split('\n'))
    .map((line) => line.trim().split(/\s+/, 1)[0] ?? '')
    .filter((exported) => exported.startsWith('/'))
    .some((exported) => base.startsWith(`${exported.replace(/\/+$/, '')}/`) || exported.startsWith(base));
}

/** nbd-server's `group` in its config, else the group `nbd` that Debian's package makes; null where there is neither. */
function nbdServerGroup(config: Config): number | null {
  const server = readNbdServer(config);
  const name = server.kind === 'configured' ? server.group : null;
  return findGroup(config, name ?? 'nbd') ?? null;
}

function groupId(config: Config, name: string): number {
  const gid = findGroup(config, name);
  if (gid === undefined)
    throw new UserError(`cannot give images to group ${name}: there is no such group (serve.group)`);
  return gid;
}

/** group(5): name:password:gid:members */
function findGroup(config: Config, name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name);
  const text = readable(() => fs.readFileSync(path.join(config.root, '/etc/group'), 'utf8')) ?? '';
  const gid = text
    .split('\n')
    .map((line) => line.split(':'))
    .find(([group]) => group === name)?.[2];
  return gid === undefined ? undefined : Number(gid);
}

/** What `read` gives, or undefined where the file or directory does not exist. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
