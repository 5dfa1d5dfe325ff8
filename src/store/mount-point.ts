import fs from 'node:fs';
import path from 'node:path';
import { hasCode, messageOf, UserError } from '../errors.ts';
import type { StorePaths } from './layout.ts';

/**
 * Makes the empty directory on which images and views are mounted, each in a mount namespace of its own, so that all of
 * them may use this one.
 * @returns its path
 * @throws UserError when it cannot be made
 */
export function makeMountPoint({ state }: Pick<StorePaths, 'state'>): string {
  const mountPoint = path.join(state, 'mnt');
  try {
    fs.mkdirSync(mountPoint, { recursive: true, mode: 0o700 });
    return mountPoint;
  } catch (error) {
    const hint = hasCode(error, 'EACCES', 'EPERM') ? ' (run as root)' : '';
    throw new UserError(`cannot make ${mountPoint}: ${messageOf(error)}${hint}`, { cause: error });
  }
}
