import fs from 'node:fs';
import { BusyError, UserError } from '../errors.ts';
import { makeDirectory, removeDurably } from '../system/durable.ts';
import { fault } from '../system/faults.ts';
import { type Digest, digestNow, digestOf } from './digest.ts';
import type { Generation } from './generation.ts';
import { candidateOf, generationDirectory, imageFile, oldFile, type StorePaths } from './layout.ts';
import { linkError } from './links.ts';
import { addGeneration, newId } from './records.ts';

export type Which = 'current' | 'previous';

/**
 * Makes the image that another program put at NAME.img (`current`) or NAME.img.old (`previous`) a generation, by one
 * more hard link: it is neither copied nor lost when its name is given to another.
 * @param now milliseconds since the epoch
 * @returns its record
 * @throws BusyError when it is written to meanwhile; UserError when it is not there or cannot be linked
 */
export async function adoptForeign(paths: StorePaths, name: string, which: Which, now: number): Promise<Generation> {
  const id = claim(paths, name, which, now);
  const file = candidateOf(paths, name, id);
  try {
    const handle = await fs.promises.open(file, 'r');
    try {
      const before = await handle.stat({ bigint: true });
      // the other program need not have done so
      fault('foreign.sync');
      await handle.sync();
      const digest = await digestOf(file);
      const after = await handle.stat({ bigint: true });
      if (before.size !== after.size || before.mtimeNs !== after.mtimeNs) throw stillWritten(paths, name, which);
      return take(paths, { name, id, which, now, builtAt: new Date(Number(after.mtimeMs)), digest });
    } finally {
      await handle.close();
    }
  } catch (error) {
    removeDurably(file, 'foreign');
    throw error;
  }
}

/** The same at once: for an image that came in the last moment and would be lost by the next call. */
export function adoptForeignNow(paths: StorePaths, name: string, which: Which, now: number): Generation {
  const id = claim(paths, name, which, now);
  const file = candidateOf(paths, name, id);
  try {
    return take(paths, { name, id, which, now, builtAt: fs.statSync(file).mtime, digest: digestNow(file) });
  } catch (error) {
    removeDurably(file, 'foreign');
    throw error;
  }
}

/** Links the image as a candidate, so that what is read from here on is one file whatever is renamed over its name. */
function claim(paths: StorePaths, name: string, which: Which, now: number): string {
  const source = fileOf(paths, name, which);
  const id = newId(paths, name, now);
  makeDirectory(generationDirectory(paths, name));
  const candidate = candidateOf(paths, name, id);
  try {
    fault('foreign.link');
    fs.linkSync(source, candidate);
  } catch (error) {
    throw linkError(`take up ${source}`, paths, error);
  }
  if (fs.lstatSync(candidate).isFile()) return id;
  removeDurably(candidate, 'foreign');
  throw new UserError(`cannot take up ${source}: it is not a regular file`);
}

type Found = { name: string; id: string; which: Which; now: number; builtAt: Date; digest: Digest };

function take(paths: StorePaths, { name, id, which, now, builtAt, digest }: Found): Generation {
  const record: Generation = {
    ...digest,
    id,
    name,
    builtAt: builtAt.toISOString(),
    builder: 'foreign',
    how: '',
    deadBytes: 0,
    verifiedAt: null,
    inputs: null,
    reason: `another program made ${fileOf(paths, name, which)}`,
    compression: 'unknown',
    entries: 0,
    packages: {},
    kernels: [],
    checks: [],
    took: {},
    replacedAt: which === 'current' ? null : new Date(now).toISOString(),
    damagedAt: null,
  };
  addGeneration(paths, record);
  return record;
}

function fileOf(paths: StorePaths, name: string, which: Which): string {
  return which === 'current' ? imageFile(paths, name) : oldFile(paths, name);
}

function stillWritten(paths: StorePaths, name: string, which: Which): BusyError {
  const file = fileOf(paths, name, which);
  return new BusyError(`cannot take up ${file}: another program is writing it`, `the program that writes ${file}`);
}
