import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { scheduleFile } from '../../src/store/layout.ts';
import { readScheduleMemory, writeScheduleMemory } from '../../src/store/schedule-memory.ts';
import { makeStore } from './store.ts';

it('the last nightly run is remembered; a damaged file counts as never', () => {
  const paths = makeStore();
  try {
    expect(readScheduleMemory(paths)).toEqual({ lastRun: null });
    writeScheduleMemory(paths, { lastRun: 1_770_000_000_000 });
    expect(readScheduleMemory(paths)).toEqual({ lastRun: 1_770_000_000_000 });
    fs.writeFileSync(scheduleFile(paths), '{"lastRun": "yes');
    expect(readScheduleMemory(paths)).toEqual({ lastRun: null });
  } finally {
    fs.rmSync(path.dirname(paths.images), { recursive: true });
  }
});
