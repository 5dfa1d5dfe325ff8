import fs from 'node:fs';
import { namesInside, openInside } from '../../chroot/open-inside.ts';
import { hasCode } from '../../errors.ts';

/** Linux' O_PATH: a descriptor that only tells what a path is, and opens no device. */
const O_PATH = 0o10000000;

/** Far more than any file that people keep a secret in; headers and keys stand at the beginning. */
const LIMIT = 256 * 1024;

/** The beginning of a regular file, one character per byte where it is no UTF-8, and what tells it from other files. */
export type ImageFile = { text: string; inode: string };

/** Files of a mounted image, by paths relative to its root that never lead out of it. */
export class ImageFiles {
  readonly #root: string;
  readonly #names = new Map<string, readonly string[]>();

  constructor(root: string) {
    this.#root = root;
  }

  /** The names in a directory; none when it is no directory. */
  names(directory: string): readonly string[] {
    const known = this.#names.get(directory);
    if (known !== undefined) return known;
    const names = orNone(() => namesInside(this.#root, directory === '' ? '.' : directory)) ?? [];
    this.#names.set(directory, names);
    return names;
  }

  /** Null when there is no regular file, or an empty one. */
  read(file: string): ImageFile | null {
    const handle = orNone(() => openInside(this.#root, file, O_PATH));
    if (handle === undefined || handle === null) return null;
    try {
      const stats = fs.fstatSync(handle, { bigint: true });
      if (!stats.isFile() || stats.size === 0n) return null;
      return { text: beginning(`/proc/self/fd/${handle}`), inode: `${stats.dev}:${stats.ino}` };
    } finally {
      fs.closeSync(handle);
    }
  }
}

function beginning(file: string): string {
  const fd = fs.openSync(file, fs.constants.O_RDONLY);
  try {
    const data = Buffer.alloc(LIMIT);
    return data.toString('utf8', 0, fs.readSync(fd, data, 0, LIMIT, 0));
  } finally {
    fs.closeSync(fd);
  }
}

/** Symlinks that lead to each other, and names longer than a file can have, are nothing that could be read. */
function orNone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (hasCode(error, 'ELOOP', 'ENAMETOOLONG', 'ENXIO', 'ENODEV')) return undefined;
    throw error;
  }
}
