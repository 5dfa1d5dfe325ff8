import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BusyError } from '../../src/errors.ts';
import { adoptForeign } from '../../src/store/foreign.ts';
import { generationDirectory, imageFile, imageOf, oldFile, type StorePaths } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { generations } from '../../src/store/records.ts';
import { switchTo } from '../../src/store/switch.ts';
import { sameFile } from '../../src/system/durable.ts';
import { addImage, makeStore } from './store.ts';

const NOW = Date.parse('2026-02-01T00:00:00Z');

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

it('an image of another program becomes a generation that is the same file, and outlives a switch', async () => {
  fs.writeFileSync(imageFile(paths, 'amd64'), 'foreign');
  const record = await adoptForeign(paths, 'amd64', 'current', NOW);
  expect(record).toMatchObject({
    id: '20260201T000000Z',
    builder: 'foreign',
    inputs: null,
    size: 7,
    digest: createHash('sha256').update('foreign').digest('hex'),
    replacedAt: null,
  });
  expect(sameFile(imageOf(paths, 'amd64', record.id), imageFile(paths, 'amd64'))).toBe(true);
  expect(readLinks(paths, 'amd64').current).toEqual({ kind: 'generation', id: record.id });
  addImage(paths, 'amd64', '20260301T000000Z', 'ours');
  switchTo(paths, 'amd64', { current: '20260301T000000Z', previous: record.id }, NOW);
  expect(fs.readFileSync(oldFile(paths, 'amd64'), 'utf8')).toBe('foreign');
});

it('one found as the previous image counts as replaced from now on', async () => {
  fs.writeFileSync(oldFile(paths, 'amd64'), 'foreign');
  const record = await adoptForeign(paths, 'amd64', 'previous', NOW);
  expect(record.replacedAt).toBe('2026-02-01T00:00:00.000Z');
  expect(generations(paths, 'amd64').generations).toEqual([record]);
});

it('one that is written to meanwhile is not taken up, and nothing is left behind', async () => {
  const file = imageFile(paths, 'amd64');
  fs.writeFileSync(file, 'half');
  const adoption = adoptForeign(paths, 'amd64', 'current', NOW);
  // between any two of its calls there is a turn of this
  let writing = true;
  const write = (): void => {
    if (!writing) return;
    fs.appendFileSync(file, 'more');
    setImmediate(write);
  };
  write();
  await expect(adoption).rejects.toThrow(BusyError);
  writing = false;
  expect(fs.readdirSync(generationDirectory(paths, 'amd64'))).toEqual([]);
});

it('a link or a name that is not there is refused in words', async () => {
  await expect(adoptForeign(paths, 'amd64', 'current', NOW)).rejects.toThrow(
    `cannot take up ${imageFile(paths, 'amd64')}`,
  );
  fs.symlinkSync('/etc/passwd', imageFile(paths, 'amd64'));
  await expect(adoptForeign(paths, 'amd64', 'current', NOW)).rejects.toThrow('not a regular file');
  expect(fs.readdirSync(generationDirectory(paths, 'amd64'))).toEqual([]);
});
