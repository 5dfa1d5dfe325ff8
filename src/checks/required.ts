import fs from 'node:fs';
import { hasCode, RejectedError } from '../errors.ts';
import { openInRoot } from '../system/posix.ts';
import { type Check, well } from './check.ts';
import type { MountOnce } from './mount-once.ts';

/** The image mounts and has the paths that a client needs. */
export function requiredCheck(image: MountOnce, required: readonly string[]): Check {
  const run: Check['run'] = async () => {
    const missing = missingPaths(await image.root(), required);
    if (missing.length > 0) throw new RejectedError(missing.join(', '));
    return well('what a client needs is there');
  };
  return { name: 'required', run };
}

/**
 * The paths of `required` that a mounted image lacks, each with what is wrong. Links are followed inside the image
 * only; a file must not be empty.
 * @param root the image's root directory
 */
export function missingPaths(root: string, required: readonly string[]): string[] {
  const rootFd = fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    return required.flatMap((path) => {
      const problem = problemOf(rootFd, path);
      return problem === undefined ? [] : [`${path} ${problem}`];
    });
  } finally {
    fs.closeSync(rootFd);
  }
}

const O_PATH = 0o10000000;

function problemOf(rootFd: number, path: string): string | undefined {
  let fd: number;
  try {
    // O_PATH: it may be a device or a FIFO, whose opening could wait for ever
    fd = openInRoot(rootFd, path, O_PATH);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return isLink(rootFd, path) ? 'is a dangling link' : 'is missing';
    if (hasCode(error, 'ELOOP')) return 'is a link that leads in a circle';
    throw error;
  }
  try {
    const stat = fs.fstatSync(fd);
    return stat.isFile() && stat.size === 0 ? 'is empty' : undefined;
  } finally {
    fs.closeSync(fd);
  }
}

function isLink(rootFd: number, path: string): boolean {
  try {
    const fd = openInRoot(rootFd, path, O_PATH | fs.constants.O_NOFOLLOW);
    fs.closeSync(fd);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return false;
    throw error;
  }
}
