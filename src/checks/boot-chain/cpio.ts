/** One entry of an archive. `size` in bytes; with several `links` another entry of the file may have the data. */
export type CpioEntry = {
  name: string;
  type: 'file' | 'directory' | 'link' | 'other';
  size: number;
  links: number;
};

/** What is read is no archive as the kernel takes it. */
export class CpioError extends Error {
  override name = 'CpioError';
}

const HEADER = 110;
/** Bytes; PATH_MAX, beyond which the kernel skips an entry. */
const LONGEST_NAME = 4096;
/** Far more than any initrd has, and read in a second. */
const MOST_ENTRIES = 200_000;
const TRAILER = 'TRAILER!!!';

/**
 * Reads concatenated cpio archives ("newc", magic 070701 or 070702; the kernel's
 * Documentation/driver-api/early-userspace/buffer-format.rst) as they come, in bounded memory: of what is in them only
 * the headers. Zeros may be between them.
 */
export class CpioReader {
  /** How many have been read to their end. */
  archives = 0;
  /** False from the first header of an archive to the end of its trailer. */
  isBetween = true;

  #entries = 0;
  /** What of a header or a name has come. */
  readonly #held = Buffer.alloc(HEADER + LONGEST_NAME + 4);
  #length = 0;
  /** Up to where #held has to be filled. */
  #wanted = HEADER;
  /** Bytes of a file's data still to pass over. */
  #passing = 0;
  readonly #onEntry: (entry: CpioEntry) => void;

  constructor(onEntry: (entry: CpioEntry) => void) {
    this.#onEntry = onEntry;
  }

  /**
   * @returns how many bytes of it were read: fewer than there are when something else follows an archive, or there is
   *   none to begin with
   * @throws CpioError when an archive is broken
   */
  push(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.isBetween) {
        while (at < chunk.length && chunk[at] === 0) at += 1;
        if (at === chunk.length) return at;
        if (chunk[at] !== 0x30) return at;
        this.isBetween = false;
      }
      if (this.#passing > 0) {
        const passed = Math.min(this.#passing, chunk.length - at);
        this.#passing -= passed;
        at += passed;
        continue;
      }
      const copied = chunk.copy(this.#held, this.#length, at, at + this.#wanted - this.#length);
      this.#length += copied;
      at += copied;
      if (this.#length === this.#wanted) this.#filled();
    }
    return at;
  }

  #filled(): void {
    const header = headerOf(this.#held);
    const withName = padded(HEADER + header.nameSize);
    if (this.#wanted === HEADER) {
      this.#wanted = withName;
      return;
    }
    const name = this.#held.toString('utf8', HEADER, HEADER + header.nameSize - 1);
    this.#length = 0;
    this.#wanted = HEADER;
    this.#passing = padded(header.size);
    if (name === TRAILER) {
      this.archives += 1;
      this.isBetween = true;
      this.#passing = 0;
      return;
    }
    this.#entries += 1;
    if (this.#entries > MOST_ENTRIES) throw new CpioError(`has more than ${MOST_ENTRIES} files in it`);
    this.#onEntry({ name, type: typeOf(header.mode), size: header.size, links: header.links });
  }
}

function headerOf(data: Buffer): { mode: number; links: number; size: number; nameSize: number } {
  const magic = data.toString('latin1', 0, 6);
  if (magic !== '070701' && magic !== '070702') throw new CpioError('is no cpio archive of the form "newc"');
  const field = (index: number): number => {
    const text = data.toString('latin1', 6 + 8 * index, 14 + 8 * index);
    if (!/^[0-9a-fA-F]{8}$/.test(text)) throw new CpioError('has a broken cpio archive in it');
    return Number.parseInt(text, 16);
  };
  const nameSize = field(11);
  if (nameSize < 1 || nameSize > LONGEST_NAME) throw new CpioError('has a broken cpio archive in it');
  return { mode: field(1), links: field(4), size: field(6), nameSize };
}

function typeOf(mode: number): CpioEntry['type'] {
  const type = mode & 0o170000;
  if (type === 0o100000) return 'file';
  if (type === 0o040000) return 'directory';
  return type === 0o120000 ? 'link' : 'other';
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}
