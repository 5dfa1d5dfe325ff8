import fs from 'node:fs';
import { hasCode, UserError, VoidError } from '../../errors.ts';
import type { SourceAccess } from '../../squashfs/source-file.ts';
import type { Xattr } from '../../squashfs/xattrs.ts';
import { extendedAttributes, nextData, openWalked } from '../../system/posix.ts';
import { displayEntry } from '../../tree/display.ts';
import type { Entry } from '../../tree/entry.ts';

/** The tree that an image is made of, for reading what the walk has not. No symlink is followed, and no FIFO waited for. */
export type Source = {
  access: SourceAccess;
  /** @throws VoidError when the entry is no longer there; UserError when they can't be read */
  xattrs: (entry: Entry) => readonly Xattr[];
  close: () => void;
};

/** @throws UserError when the root can't be read */
export function openSource(root: string): Source {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const rootFd = openRoot(root, O_RDONLY | O_DIRECTORY);
  return {
    access: {
      open: ({ path }) => openWalked(rootFd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
      nextData: (fd, position) => nextData(fd, position) ?? fs.fstatSync(fd).size,
    },
    xattrs: (entry) => {
      try {
        return extendedAttributes(rootFd, entry.path);
      } catch (error) {
        const where = displayEntry(entry.path);
        if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) {
          throw new VoidError(`cannot pack ${where}: it changed while it was read`, { cause: error });
        }
        throw new UserError(`cannot read the extended attributes of ${where}`, { cause: error });
      }
    },
    close: () => fs.closeSync(rootFd),
  };
}

function openRoot(root: string, flags: number): number {
  try {
    return fs.openSync(root, flags);
  } catch (error) {
    throw new UserError(`cannot read ${root}`, { cause: error });
  }
}
