import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { makeDirectory, writeDurably } from '../system/durable.ts';
import { type StorePaths, scheduleFile } from './layout.ts';

const schema = z.object({ lastRun: z.number().nullable() });

/** When the nightly run was last, in milliseconds since the epoch; null: never, as far as is known. */
export type ScheduleMemory = z.infer<typeof schema>;

/** What is not there or cannot be understood counts as never: the worst that follows is one more look. */
export function readScheduleMemory(paths: StorePaths): ScheduleMemory {
  try {
    return schema.parse(JSON.parse(fs.readFileSync(scheduleFile(paths), 'utf8')));
  } catch {
    return { lastRun: null };
  }
}

/** Remembers it, durably. */
export function writeScheduleMemory(paths: StorePaths, memory: ScheduleMemory): void {
  const file = scheduleFile(paths);
  makeDirectory(path.dirname(file));
  writeDurably(file, `${JSON.stringify(memory)}\n`, 0o600);
}
