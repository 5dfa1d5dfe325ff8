import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { UserError } from '../../src/errors.ts';
import type { Entry } from '../../src/tree/entry.ts';
import {
  type Manifest,
  parseManifest,
  readManifest,
  serializeManifest,
  writeManifest,
} from '../../src/tree/manifest.ts';
import { entry, THEN } from './example.ts';

const MANIFEST: Manifest = {
  started: THEN,
  ignorePatterns: ['var/log', 'tmp\t\\*'],
  entries: [
    entry('', { type: 'directory' }),
    entry('a\tb\nc\\n\xff'),
    entry('l', { type: 'symlink', target: '\\\n\t' }),
  ],
};

test('what is written is read back, whatever the names are', () => {
  const bytes = fc.array(fc.integer({ min: 1, max: 255 })).map((codes) => String.fromCharCode(...codes));
  const time = fc.bigInt({ min: -(2n ** 40n), max: 2n ** 63n });
  const types = fc.constantFrom<Entry['type']>('file', 'directory', 'symlink', 'block', 'char', 'fifo', 'socket');
  const entries = fc.record({
    path: bytes,
    type: types,
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    size: fc.maxSafeNat(),
    mtime: time,
    ctime: time,
    dev: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    nlink: fc.nat(),
    rdev: fc.nat(),
    target: bytes,
    ignored: fc.boolean(),
  });
  const manifests = fc.record({ started: time, ignorePatterns: fc.array(bytes), entries: fc.array(entries) });
  fc.assert(
    fc.property(manifests, (manifest) => {
      expect(parseManifest(serializeManifest(manifest))).toEqual(manifest);
    }),
  );
});

test('a manifest cut anywhere is refused', () => {
  const text = serializeManifest(MANIFEST);
  for (let length = 0; length < text.length; length++) {
    expect(() => parseManifest(text.slice(0, length)), `${length} chars`).toThrow(UserError);
  }
});

test.each([
  ['nothing', '', 1],
  ['another file', '#!/bin/sh\n', 1],
  ['no start', 'tree manifest 1\nstarted\tsoon\nend\t0\n', 2],
  ['an unknown type', 'tree manifest 1\nstarted\t1\nx\t0\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\tp\t\nend\t1\n', 3],
  ['a field that is no number', 'tree manifest 1\nstarted\t1\nf\t0\t1\tx\t1\t1\t1\t1\t1\t1\t1\t1\tp\t\nend\t1\n', 3],
  ['a field too many', 'tree manifest 1\nstarted\t1\nf\t0\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\tp\t\t\nend\t1\n', 3],
  ['another number of entries', 'tree manifest 1\nstarted\t1\nend\t1\n', 3],
  ['something behind the end', 'tree manifest 1\nstarted\t1\nend\t0\nmore\n', 3],
])('%s is refused, and the line is named', (_, text, line) => {
  expect(() => parseManifest(text)).toThrow(new UserError(`line ${line} is not as it was written`));
});

test('a file that cannot be read or written is named', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'manifest-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'x.manifest');
  expect(() => readManifest(file)).toThrow(UserError);
  expect(() => readManifest(file)).toThrow(`cannot read the manifest ${file}`);
  expect(() => writeManifest(path.join(file, 'y'), MANIFEST)).toThrow(`cannot write the manifest ${file}/y`);
  writeManifest(file, MANIFEST);
  expect(readManifest(file)).toEqual(MANIFEST);
});
