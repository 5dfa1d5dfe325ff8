import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { generationDirectory, manifestOf, rejectedFiles, type StorePaths } from '../../src/store/layout.ts';
import { removeGeneration } from '../../src/store/records.ts';
import { rejected, setAside } from '../../src/store/rejected.ts';
import { addCandidate, addImage, makeStore, recordFor } from './store.ts';

const A = '20260101T000000Z';
const B = '20260102T000000Z';

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

it('what was rejected stays for a look when the build of it is undone, and the next one takes its place', () => {
  expect(rejected(paths, 'amd64')).toBeNull();
  addCandidate(paths, 'amd64', A, 'a');
  fs.writeFileSync(manifestOf(paths, 'amd64', A), 'manifest of a');
  setAside(paths, recordFor('amd64', A));
  removeGeneration(paths, 'amd64', A);
  const { image, manifest } = rejectedFiles(paths, 'amd64');
  expect(fs.readFileSync(image, 'utf8')).toBe('a');
  expect(fs.readFileSync(manifest, 'utf8')).toBe('manifest of a');
  expect(rejected(paths, 'amd64')).toEqual({ image, record: recordFor('amd64', A) });

  // already a generation, and without a manifest
  const b = addImage(paths, 'amd64', B, 'b');
  setAside(paths, b);
  setAside(paths, b);
  removeGeneration(paths, 'amd64', B);
  expect(fs.readFileSync(image, 'utf8')).toBe('b');
  expect(rejected(paths, 'amd64')?.record).toEqual(b);
  expect(fs.readdirSync(generationDirectory(paths, 'amd64')).sort()).toEqual(['rejected.img', 'rejected.json']);
});

it('an image that is not there cannot be kept, and the former one stays', () => {
  addCandidate(paths, 'amd64', A, 'a');
  setAside(paths, recordFor('amd64', A));
  expect(() => setAside(paths, recordFor('amd64', B))).toThrow(`cannot keep the rejected image ${B} of amd64`);
  expect(rejected(paths, 'amd64')?.record.id).toBe(A);
});
