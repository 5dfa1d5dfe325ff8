import fs from 'node:fs';
import type { Readable } from 'node:stream';
import { openInside } from '../../chroot/open-inside.ts';
import { CancelledError } from '../../errors.ts';
import { type Compression, compressionOf, LONGEST_MAGIC } from './compression.ts';
import { type CpioEntry, CpioError, CpioReader } from './cpio.ts';
import { DamagedError, decompress, NoToolError } from './decompress.ts';

/** What an initrd has, as far as it matters to how a client comes to its root. */
export type InitrdContents = {
  /** Whether there is an init for the kernel to run. */
  init: 'present' | 'missing';
  /** `VERSION/NAME` of modules that are looked for, for example 6.1.0-2-amd64/squashfs. */
  modules: ReadonlySet<string>;
  /** Some of the versions that it has modules of. */
  versions: ReadonlySet<string>;
  compressions: readonly Compression[];
  /** What is wrong behind a whole archive, which the kernel only complains about. */
  damage: string | null;
};

/** `why` ends a sentence that begins with the initrd's name. */
export type InitrdLook =
  | ({ kind: 'read' } & InitrdContents)
  /** No kernel can use it. */
  | { kind: 'unusable'; why: string }
  /** Nothing is known about it. */
  | { kind: 'unread'; why: string };

/** What an initrd may cost: `bytes` of all of its archives, and the time to unpack them. */
export type InitrdLimits = { bytes: number; seconds: number };

/** More than clients have memory for, and longer than the slowest server takes. */
const LIMITS: InitrdLimits = { bytes: 2 * 1024 ** 3, seconds: 60 };
const MOST_VERSIONS = 10;

const MODULE = /^(?:\.?\/)?(?:usr\/)?lib\/modules\/([^/]+)\/(?:.*\/)?(squashfs|nbd|nfs)\.ko(?:\.(?:xz|zst|gz))?$/;
const ANY_MODULE = /^(?:\.?\/)?(?:usr\/)?lib\/modules\/([^/]+)\/.*\.ko(?:\.(?:xz|zst|gz))?$/;

/**
 * Reads an initrd as the kernel does (init/initramfs.c): archives one after the other, uncompressed ones (microcode)
 * first, then compressed ones. Needs little memory, whatever is in it, and comes to an end.
 * @param file a regular file, relative to the image's root
 * @throws CancelledError; an error with `code` as of node:fs when it cannot be read
 */
export async function lookIntoInitrd(
  root: string,
  file: string,
  signal?: AbortSignal,
  limits: InitrdLimits = LIMITS,
): Promise<InitrdLook> {
  const limit = AbortSignal.timeout(limits.seconds * 1000);
  const both = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  try {
    return await new Look(root, file, limits, both).all();
  } catch (error) {
    if (signal?.aborted === true) throw new CancelledError('looking into the initrd was stopped');
    if (limit.aborted) return { kind: 'unread', why: `took longer than ${limits.seconds} s to unpack` };
    if (error instanceof CpioError || error instanceof DamagedError) return { kind: 'unusable', why: error.message };
    if (error instanceof NoToolError) return { kind: 'unread', why: `could not be unpacked: ${error.message}` };
    throw error;
  }
}

class Look {
  readonly #root: string;
  readonly #file: string;
  readonly #limits: InitrdLimits;
  readonly #signal: AbortSignal;
  #init: InitrdContents['init'] = 'missing';
  readonly #modules = new Set<string>();
  readonly #versions = new Set<string>();
  readonly #compressions: Compression[] = [];
  #bytes = 0;
  #archives = 0;

  constructor(root: string, file: string, limits: InitrdLimits, signal: AbortSignal) {
    this.#root = root;
    this.#file = file;
    this.#limits = limits;
    this.#signal = signal;
  }

  async all(): Promise<InitrdLook> {
    const size = this.#size();
    if (size === 0) return { kind: 'unusable', why: 'is empty' };
    const damage = await this.#parts(size);
    if (this.#archives === 0) return { kind: 'unusable', why: damage ?? 'has no archive in it' };
    // what follows the microcode is the initrd itself
    if (damage !== null && this.#init === 'missing') return { kind: 'unusable', why: damage };
    return {
      ...{ kind: 'read', init: this.#init, damage },
      ...{ modules: this.#modules, versions: this.#versions, compressions: this.#compressions },
    };
  }

  /** Reads one part after the other; returns what is wrong behind a whole archive. */
  async #parts(size: number): Promise<string | null> {
    let start = 0;
    while (start < size) {
      start = await this.#plainArchives(start);
      if (start >= size) return null;
      const compression = compressionOf(this.#head(start));
      if (compression === null) {
        return start === 0
          ? 'is neither a cpio archive nor compressed in a way that kernels know'
          : `has something from byte ${start} on that is no archive`;
      }
      this.#compressions.push(compression);
      const reader = this.#reader();
      try {
        const length = await decompress(
          this.#from(start),
          compression,
          (data) => this.#take(reader, data),
          this.#signal,
        );
        if (!reader.isBetween) throw new DamagedError('ends in the middle of a file');
        if (reader.archives === 0) throw new CpioError('has no archive in it');
        start = length === null ? size : start + length;
      } catch (error) {
        if (error instanceof DamagedError && reader.isBetween && reader.archives > 0) return error.message;
        throw error;
      } finally {
        this.#archives += reader.archives;
      }
    }
    return null;
  }

  /** @returns where something else begins, or the end of the file */
  async #plainArchives(start: number): Promise<number> {
    const reader = this.#reader();
    let at = start;
    const source = this.#from(start);
    try {
      for await (const chunk of source) {
        const taken = reader.push(chunk);
        this.#count(taken);
        at += taken;
        if (taken < chunk.length) return at;
      }
    } finally {
      source.destroy();
      this.#archives += reader.archives;
    }
    if (!reader.isBetween) throw new DamagedError('ends in the middle of a file');
    return at;
  }

  #take(reader: CpioReader, data: Buffer): void {
    this.#count(data.length);
    if (reader.push(data) < data.length) throw new CpioError('has something in it that is no cpio archive');
  }

  #count(bytes: number): void {
    this.#signal.throwIfAborted();
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.bytes) {
      throw new CpioError(
        `has more than ${Math.round(this.#limits.bytes / 1e6)} MB in it, which clients have no memory for`,
      );
    }
  }

  #reader(): CpioReader {
    return new CpioReader((entry) => this.#see(entry));
  }

  #see({ name, type, size, links }: CpioEntry): void {
    // of several hard links one alone has the data
    if (type !== 'link' && !(type === 'file' && (size > 0 || links > 1))) return;
    if (/^(?:\.?\/)?init$/.test(name)) this.#init = 'present';
    const version = ANY_MODULE.exec(name)?.[1];
    if (version === undefined) return;
    if (this.#versions.size < MOST_VERSIONS) this.#versions.add(version);
    const module = MODULE.exec(name);
    // an archive may have any number of versions, but an image has few kernels
    if (module !== null && this.#modules.size < 1000) this.#modules.add(`${module[1]}/${module[2]}`);
  }

  #from(start: number): Readable {
    return fs.createReadStream('', { fd: this.#open(), start, highWaterMark: 256 * 1024 });
  }

  #size(): number {
    const fd = this.#open();
    try {
      return fs.fstatSync(fd).size;
    } finally {
      fs.closeSync(fd);
    }
  }

  #head(start: number): Buffer {
    const fd = this.#open();
    try {
      const head = Buffer.alloc(LONGEST_MAGIC);
      return head.subarray(0, fs.readSync(fd, head, 0, head.length, start));
    } finally {
      fs.closeSync(fd);
    }
  }

  #open(): number {
    const fd = openInside(this.#root, this.#file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    if (fd === null) throw new Error(`${this.#file} is not in the image any more`);
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd);
    throw new Error(`${this.#file} is no regular file`);
  }
}
