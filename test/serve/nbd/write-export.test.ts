import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ExportWrite, exportWriteOf, undoExport, writeExport } from '../../../src/serve/nbd/write-export.ts';

let directory: string;
let write: NonNullable<ExportWrite>;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'write-export-'));
  write = { file: path.join(directory, 'conf.d/ltsp_a.conf'), text: '[a]\n', allow: null };
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const names = (): string[] => fs.readdirSync(path.join(directory, 'conf.d'));

it('writes what everyone may read whatever the umask is, and twice is the same', () => {
  fs.mkdirSync(path.dirname(write.file));
  const umask = process.umask(0o077);
  try {
    writeExport(write);
  } finally {
    process.umask(umask);
  }
  writeExport(write);
  expect(fs.readFileSync(write.file, 'utf8')).toBe('[a]\n');
  expect(fs.statSync(write.file).mode & 0o777).toBe(0o644);
  expect(names()).toEqual(['ltsp_a.conf']);
});

it('takes back what it wrote, also twice and when nothing was written', () => {
  undoExport(write);
  writeExport(write);
  undoExport(write);
  undoExport(write);
  expect(names()).toEqual([]);
});

it('writes the list of who may connect before the export, and leaves one that is there alone', () => {
  const allow = { file: path.join(directory, 'ltsp/allow'), text: '10.0.0.0/8\n' };
  writeExport({ ...write, allow });
  expect(fs.readFileSync(allow.file, 'utf8')).toBe('10.0.0.0/8\n');
  undoExport({ ...write, allow });
  expect(fs.existsSync(allow.file)).toBe(false);
  fs.writeFileSync(allow.file, '192.168.1.0/24\n');
  writeExport({ ...write, allow });
  undoExport({ ...write, allow });
  expect(fs.readFileSync(allow.file, 'utf8')).toBe('192.168.1.0/24\n');
});

it('leaves alone what the admin wrote or changed', () => {
  fs.mkdirSync(path.dirname(write.file));
  fs.writeFileSync(write.file, '[mine]\n');
  writeExport(write);
  undoExport(write);
  expect(fs.readFileSync(write.file, 'utf8')).toBe('[mine]\n');
});

it('a link of that name is the property of the admin, wherever it leads', () => {
  fs.mkdirSync(path.dirname(write.file));
  fs.symlinkSync('/nowhere', write.file);
  writeExport(write);
  undoExport(write);
  expect(fs.readlinkSync(write.file)).toBe('/nowhere');
});

it('nothing is written for an export that is kept or skipped', () => {
  expect(exportWriteOf({ kind: 'keep', file: write.file, section: 'a', reason: '' })).toBeNull();
  writeExport(null);
  undoExport(null);
  expect(fs.readdirSync(directory)).toEqual([]);
});

it('says which file cannot be written', () => {
  fs.writeFileSync(path.join(directory, 'conf.d'), '');
  expect(() => writeExport(write)).toThrow(`cannot write the export ${write.file}: `);
});
