import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  candidateOf,
  generationDirectory,
  imageFile,
  imageOf,
  manifestOf,
  recordOf,
  rejectedFiles,
  type StorePaths,
} from '../../src/store/layout.ts';
import { addGeneration, generations, newId, removeGeneration } from '../../src/store/records.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addCandidate, addImage, makeStore, recordFor } from './store.ts';

const A = '20260101T000000Z';
const B = '20260102T000000Z';

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

describe('generations', () => {
  it('are sorted by age, and there are none of a name never built', () => {
    const b = addImage(paths, 'amd64', B, 'b');
    const a = addImage(paths, 'amd64', A, 'a');
    expect(generations(paths, 'amd64')).toEqual({ generations: [a, b], problems: [] });
    expect(generations(paths, 'i386')).toEqual({ generations: [], problems: [] });
  });

  it.each([
    ['half a record', '{"id": "2026'],
    ['a value of another type', JSON.stringify({ ...recordFor('amd64', B), size: 'big' })],
    ['a time that is none', JSON.stringify(recordFor('amd64', B, { replacedAt: 'yesterday' }))],
    ["another generation's record", JSON.stringify(recordFor('amd64', A))],
  ])('leave out one with %s and tell of it', (_, text) => {
    const a = addImage(paths, 'amd64', A, 'a');
    addImage(paths, 'amd64', B, 'b');
    fs.writeFileSync(recordOf(paths, 'amd64', B), text);
    const found = generations(paths, 'amd64');
    expect(found.generations).toEqual([a]);
    expect(found.problems).toHaveLength(1);
    expect(found.problems[0]).toMatch(`cannot use generation ${B} of amd64: `);
  });

  it('are neither candidates nor what was rejected nor an image without a record', () => {
    addCandidate(paths, 'amd64', A, 'a');
    fs.writeFileSync(rejectedFiles(paths, 'amd64').image, 'r');
    fs.writeFileSync(imageOf(paths, 'amd64', B), 'b');
    const found = generations(paths, 'amd64');
    expect(found.generations).toEqual([]);
    expect(found.problems).toEqual([expect.stringContaining('ENOENT')]);
  });
});

describe('newId', () => {
  it('is the time to the second', () => {
    expect(newId(paths, 'amd64', Date.parse('2026-01-31T04:30:00.999Z'))).toBe('20260131T043000Z');
  });

  it('is one second after the latest id there is when that is not earlier, so that a clock set back does no harm', () => {
    addCandidate(paths, 'amd64', '20260131T235959Z', 'x');
    expect(newId(paths, 'amd64', Date.parse('2026-01-31T23:59:59Z'))).toBe('20260201T000000Z');
    expect(newId(paths, 'amd64', Date.parse('2020-01-01T00:00:00Z'))).toBe('20260201T000000Z');
  });
});

describe('addGeneration', () => {
  it('makes a candidate a generation, and does so once only', () => {
    addCandidate(paths, 'amd64', A, 'a');
    const record = recordFor('amd64', A);
    addGeneration(paths, record);
    addGeneration(paths, record);
    expect(fs.readFileSync(imageOf(paths, 'amd64', A), 'utf8')).toBe('a');
    expect(fs.existsSync(candidateOf(paths, 'amd64', A))).toBe(false);
    expect(generations(paths, 'amd64').generations).toEqual([record]);
  });

  it('fails where there is neither candidate nor image', () => {
    fs.mkdirSync(generationDirectory(paths, 'amd64'), { recursive: true });
    expect(() => addGeneration(paths, recordFor('amd64', A))).toThrow('ENOENT');
  });
});

describe('removeGeneration', () => {
  it('removes all files of a generation or a candidate and nothing else, as often as one likes', () => {
    addImage(paths, 'amd64', A, 'a');
    fs.writeFileSync(manifestOf(paths, 'amd64', A), 'm');
    addCandidate(paths, 'amd64', B, 'b');
    addImage(paths, 'amd64', '20260103T000000Z', 'c');
    for (const id of [A, A, B]) removeGeneration(paths, 'amd64', id);
    const left = fs.readdirSync(generationDirectory(paths, 'amd64'));
    expect(left.sort()).toEqual(['20260103T000000Z.img', '20260103T000000Z.json']);
    removeGeneration(paths, 'never-built', A);
  });

  it('refuses to remove what clients get', () => {
    addImage(paths, 'amd64', A, 'a');
    switchTo(paths, 'amd64', { current: A, previous: null }, 0);
    const refusal = `cannot remove generation ${A} of amd64: it is ${imageFile(paths, 'amd64')}`;
    expect(() => removeGeneration(paths, 'amd64', A)).toThrow(refusal);
    expect(fs.existsSync(imageOf(paths, 'amd64', A))).toBe(true);
  });
});
