import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { digestNow } from '../../src/store/digest.ts';
import type { Generation } from '../../src/store/generation.ts';
import { candidateOf, generationDirectory, type StorePaths } from '../../src/store/layout.ts';
import { addGeneration } from '../../src/store/records.ts';

/** An empty images directory and a state directory, side by side in a directory of their own. */
export function makeStore(): StorePaths {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'store-'));
  fs.mkdirSync(path.join(root, 'images'));
  fs.mkdirSync(path.join(root, 'state'));
  return { images: path.join(root, 'images'), state: path.join(root, 'state') };
}

/** The record of a generation that holds these bytes. */
export function recordFor(name: string, id: string, more: Partial<Generation> = {}): Generation {
  return {
    id,
    name,
    digest: '0'.repeat(64),
    size: 1,
    sums: '',
    builtAt: id.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z'),
    builder: 'mksquashfs',
    how: '',
    deadBytes: 0,
    verifiedAt: null,
    inputs: `inputs of ${id}`,
    reason: 'a test',
    compression: 'zstd',
    entries: 1,
    packages: { 'dpkg:amd64': '1.0' },
    kernels: [],
    checks: [],
    took: {},
    replacedAt: null,
    damagedAt: null,
    ...more,
  };
}

/** A candidate's file, as a build leaves it. */
export function addCandidate(paths: StorePaths, name: string, id: string, content: string): void {
  fs.mkdirSync(generationDirectory(paths, name), { recursive: true });
  fs.writeFileSync(candidateOf(paths, name, id), content);
}

/** A generation whose image holds `content`. */
export function addImage(paths: StorePaths, name: string, id: string, content: string): Generation {
  addCandidate(paths, name, id, content);
  const record = recordFor(name, id, digestNow(candidateOf(paths, name, id)));
  addGeneration(paths, record);
  return record;
}
