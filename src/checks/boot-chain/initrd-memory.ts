import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { openInside } from '../../chroot/open-inside.ts';
import { CancelledError } from '../../errors.ts';
import { makeDirectory, writeDurably } from '../../system/durable.ts';
import type { InitrdLook } from './initrd.ts';

const strings = z.array(z.string()).transform((names): ReadonlySet<string> => new Set(names));
const tool = z.object({ command: z.string(), args: z.array(z.string()), package_: z.string() });
const seen: z.ZodType<InitrdLook> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('read'),
    init: z.enum(['present', 'missing']),
    modules: strings,
    versions: strings,
    compressions: z.array(z.object({ name: z.string(), config: z.string(), by: z.union([z.literal('zlib'), tool]) })),
    damage: z.string().nullable(),
  }),
  z.object({ kind: z.literal('unusable'), why: z.string() }),
]);

/** Enough for the kernels of many chroots. */
const KEPT = 50;

/**
 * What was found in initrds before, by their digest, in a directory of its own: unpacking one takes a second, and most
 * images have the same one as the image before.
 * @param directory need not exist
 */
export class InitrdMemory {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What `look` says of an initrd, or said when it had the same bytes; that nothing could be found out is asked again. */
  async recall(root: string, file: string, look: () => Promise<InitrdLook>, signal?: AbortSignal): Promise<InitrdLook> {
    const known = path.join(this.#directory, `${await digestInside(root, file, signal)}.json`);
    const former = this.#read(known);
    if (former !== null) return former;
    const found = await look();
    if (found.kind !== 'unread') this.#write(known, found);
    return found;
  }

  #read(file: string): InitrdLook | null {
    try {
      return seen.parse(JSON.parse(fs.readFileSync(file, 'utf8')));
    } catch {
      // it is not there, or of another version: the initrd itself has it
      return null;
    }
  }

  #write(file: string, look: InitrdLook): void {
    makeDirectory(this.#directory);
    const names = fs.readdirSync(this.#directory).map((name) => path.join(this.#directory, name));
    const byAge = names.sort((one, other) => fs.statSync(one).mtimeMs - fs.statSync(other).mtimeMs);
    for (const old of byAge.slice(0, Math.max(names.length - KEPT + 1, 0))) fs.rmSync(old);
    writeDurably(
      file,
      JSON.stringify(look, (_, value) => (value instanceof Set ? [...value] : value)),
      0o600,
    );
  }
}

async function digestInside(root: string, file: string, signal: AbortSignal | undefined): Promise<string> {
  const fd = openInside(root, file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  if (fd === null) throw new Error(`${file} is not in the image any more`);
  if (!fs.fstatSync(fd).isFile()) {
    fs.closeSync(fd);
    throw new Error(`${file} is no regular file`);
  }
  const hash = createHash('sha256');
  for await (const piece of fs.createReadStream('', { fd, highWaterMark: 1024 * 1024 })) {
    if (signal?.aborted === true) throw new CancelledError('looking into the initrd was stopped');
    hash.update(piece);
  }
  return hash.digest('hex');
}
