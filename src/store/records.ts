import fs from 'node:fs';
import * as z from 'zod';
import { hasCode, messageOf, UserError } from '../errors.ts';
import { removeDurably, sameFile, syncDirectory, writeDurably } from '../system/durable.ts';
import { fault } from '../system/faults.ts';
import type { Generation } from './generation.ts';
import {
  candidateOf,
  chrootManifestOf,
  excludesFileOf,
  generationDirectory,
  imageFile,
  imageOf,
  manifestOf,
  oldFile,
  recordOf,
  type StorePaths,
} from './layout.ts';

const ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;
const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'no time');

const generation = z.object({
  id: z.string().regex(ID),
  name: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.number().int().nonnegative(),
  sums: z.string().default(''),
  builtAt: time,
  builder: z.enum(['mksquashfs', 'incremental', 'foreign']),
  how: z.string().default(''),
  deadBytes: z.number().default(0),
  verifiedAt: time.nullable().default(null),
  inputs: z.string().nullable(),
  reason: z.string(),
  compression: z.string(),
  entries: z.number(),
  packages: z.record(z.string(), z.string()),
  kernels: z.array(z.string()),
  checks: z.array(
    z.object({
      name: z.string(),
      passed: z.boolean(),
      message: z.string(),
      warnings: z.array(z.string()).default([]),
      took: z.number(),
    }),
  ),
  took: z.record(z.string(), z.number()),
  replacedAt: time.nullable(),
  damagedAt: time.nullable().default(null),
});

/** Parses a record's text. @throws when it is none */
export function parseRecord(text: string): Generation {
  return generation.parse(JSON.parse(text));
}

/** Writes a generation's record, durably. */
export function writeRecord(paths: StorePaths, record: Generation): void {
  writeDurably(recordOf(paths, record.name, record.id), `${JSON.stringify(record, null, 1)}\n`, 0o640, 'record');
}

/** A generation's record; undefined when there is none or it cannot be understood (`generations` says why). */
export function readRecord(paths: StorePaths, name: string, id: string): Generation | undefined {
  const found = tryRecord(paths, name, id);
  return typeof found === 'string' ? undefined : found;
}

/** Ids of the images there are, with or without a record, oldest first. */
export function imageIds(paths: StorePaths, name: string): string[] {
  return fileNames(paths, name)
    .filter((file) => file.endsWith('.img'))
    .map((file) => file.slice(0, -'.img'.length))
    .filter((id) => ID.test(id))
    .sort();
}

/** The generations of a name, oldest first. One whose record cannot be read is left out and told of in `problems`. */
export function generations(paths: StorePaths, name: string): { generations: Generation[]; problems: string[] } {
  const found = imageIds(paths, name).map((id) => tryRecord(paths, name, id));
  return {
    generations: found.filter((one) => typeof one !== 'string'),
    problems: found.filter((one) => typeof one === 'string'),
  };
}

/**
 * An id for a new generation: the time, or the first second after it that is later than every id there is, so that ids
 * sort by age even when the clock was set back.
 * @param now milliseconds since the epoch
 */
export function newId(paths: StorePaths, name: string, now: number): string {
  const taken = fileNames(paths, name).map((file) => timeOf(file.split('.', 1)[0] ?? ''));
  const latest = taken.reduce((one, other) => Math.max(one, other), 0);
  const second = Math.max(Math.floor(now / 1000) * 1000, latest + 1000);
  return new Date(second).toISOString().replace(/[-:]|\.000/g, '');
}

/**
 * Makes the candidate of that id a generation; may be repeated. The record is on disk before the image has its name, so
 * that no crash leaves an image of which nothing is known.
 */
export function addGeneration(paths: StorePaths, record: Generation): void {
  const { name, id } = record;
  writeRecord(paths, record);
  try {
    fault('generation.rename');
    fs.renameSync(candidateOf(paths, name, id), imageOf(paths, name, id));
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || !fs.existsSync(imageOf(paths, name, id))) throw error;
  }
  fault('generation.sync-directory');
  syncDirectory(generationDirectory(paths, name));
}

/**
 * Removes all there is of a generation or a candidate, the record last; may be repeated.
 * @throws UserError when it is what clients get or got before: nothing else would know that image any more
 */
export function removeGeneration(paths: StorePaths, name: string, id: string): void {
  const image = imageOf(paths, name, id);
  for (const link of [imageFile(paths, name), oldFile(paths, name)]) {
    if (sameFile(image, link)) throw new UserError(`cannot remove generation ${id} of ${name}: it is ${link}`);
  }
  const candidate = candidateOf(paths, name, id);
  for (const file of [
    excludesFileOf(candidate),
    chrootManifestOf(candidate),
    candidate,
    image,
    manifestOf(paths, name, id),
  ])
    removeDurably(file, 'generation');
  removeDurably(recordOf(paths, name, id), 'generation');
}

/** The record, or in words why there is none. */
function tryRecord(paths: StorePaths, name: string, id: string): Generation | string {
  const file = recordOf(paths, name, id);
  try {
    const record = parseRecord(fs.readFileSync(file, 'utf8'));
    if (record.id === id && record.name === name) return record;
    return `cannot use generation ${id} of ${name}: ${file} is the record of ${record.name} ${record.id}`;
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : messageOf(error);
    return `cannot use generation ${id} of ${name}: its record ${file} cannot be read: ${why}`;
  }
}

function fileNames(paths: StorePaths, name: string): string[] {
  try {
    return fs.readdirSync(generationDirectory(paths, name));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Milliseconds since the epoch; 0 for what is no id. */
function timeOf(id: string): number {
  const time = Date.parse(id.replace(ID, '$1-$2-$3T$4:$5:$6Z'));
  return ID.test(id) && !Number.isNaN(time) ? time : 0;
}
