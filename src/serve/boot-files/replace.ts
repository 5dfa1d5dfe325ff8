import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { hasCode } from '../../errors.ts';
import { sameFile } from '../../system/durable.ts';
import { fault } from '../../system/faults.ts';

/** Matches the names that are used here for a moment; a crash may leave one. */
export const PASSING_NAME = /^\.boot\.[0-9a-f]{12}\.tmp$/;

/** Removes what a crash left in a directory; one that is not there is no error. */
export function removePassing(directory: string): void {
  if (!fs.existsSync(directory)) return;
  for (const name of fs.readdirSync(directory)) {
    if (PASSING_NAME.test(name)) fs.rmSync(path.join(directory, name), { force: true });
  }
}

/** Makes `file` a symlink to `target`, replacing a file or link, with no instant without it. Not yet durable. */
export function replaceLink(file: string, target: string): void {
  const stats = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stats?.isSymbolicLink() === true && fs.readlinkSync(file) === target) return;
  replace(file, (temporary) => fs.symlinkSync(target, temporary));
}

/**
 * Makes `file` what `existing` is (file or link), replacing a file or link, with no instant without it: a hard link, or
 * a copy where the file system or the file has no more of them. Not yet durable.
 */
export function replaceByLink(existing: string, file: string): void {
  if (sameFile(existing, file)) return;
  replace(file, (temporary) => {
    try {
      fs.linkSync(existing, temporary);
    } catch (error) {
      // no hard links here, the most there can be, a file that chattr(1) made immutable, or a mount point in between
      if (!hasCode(error, 'EPERM', 'EMLINK', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV')) throw error;
      copy(existing, temporary);
    }
  });
}

function replace(file: string, make: (temporary: string) => void): void {
  const temporary = path.join(path.dirname(file), `.boot.${randomBytes(6).toString('hex')}.tmp`);
  try {
    fault('boot.replace-make');
    make(temporary);
    fault('boot.replace-rename');
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

function copy(existing: string, file: string): void {
  const stats = fs.lstatSync(existing);
  if (stats.isSymbolicLink()) {
    fs.symlinkSync(fs.readlinkSync(existing), file);
    return;
  }
  fs.copyFileSync(existing, file, fs.constants.COPYFILE_EXCL);
  const fd = fs.openSync(file, 'r+');
  try {
    fs.fchownSync(fd, stats.uid, stats.gid);
    fs.fchmodSync(fd, stats.mode & 0o7777);
    fs.futimesSync(fd, stats.atime, stats.mtime);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
