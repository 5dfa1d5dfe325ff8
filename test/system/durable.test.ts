import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { linkOver, makeDirectory, sameFile, TEMPORARY_NAME, writeDurably } from '../../src/system/durable.ts';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'durable-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const at = (name: string): string => path.join(directory, name);

describe('writeDurably', () => {
  it('replaces the content with the mode asked for and leaves nothing beside', () => {
    writeDurably(at('file'), 'one');
    writeDurably(at('file'), 'two', 0o600);
    expect(fs.readFileSync(at('file'), 'utf8')).toBe('two');
    expect(fs.statSync(at('file')).mode & 0o777).toBe(0o600);
    expect(fs.readdirSync(directory)).toEqual(['file']);
  });

  it('keeps the former content and leaves nothing beside when it cannot be replaced', () => {
    fs.mkdirSync(at('file'));
    expect(() => writeDurably(at('file'), 'x')).toThrow('EISDIR');
    expect(fs.readdirSync(directory)).toEqual(['file']);
  });
});

describe('linkOver', () => {
  it('gives a name to another file, and the former one keeps its other names', () => {
    fs.writeFileSync(at('a'), 'a');
    fs.writeFileSync(at('b'), 'b');
    fs.linkSync(at('a'), at('live'));
    linkOver(at('b'), at('live'), 'image');
    expect(sameFile(at('b'), at('live'))).toBe(true);
    expect(fs.readFileSync(at('a'), 'utf8')).toBe('a');
    expect(fs.readdirSync(directory).sort()).toEqual(['a', 'b', 'live']);
  });

  it('does nothing for two names of one file, where rename(2) would leave a third', () => {
    fs.writeFileSync(at('a'), 'a');
    fs.linkSync(at('a'), at('live'));
    linkOver(at('a'), at('live'), 'image');
    expect(fs.readdirSync(directory).sort()).toEqual(['a', 'live']);
  });

  it('leaves nothing beside when the rename fails', () => {
    fs.writeFileSync(at('a'), 'a');
    fs.mkdirSync(at('live'));
    expect(() => linkOver(at('a'), at('live'), 'image')).toThrow();
    expect(fs.readdirSync(directory).sort()).toEqual(['a', 'live']);
  });
});

it('temporary names are told from all others', () => {
  expect(TEMPORARY_NAME.test('.amd64.img.0123456789ab.tmp')).toBe(true);
  expect(TEMPORARY_NAME.test('amd64.img.tmp')).toBe(false);
  expect(TEMPORARY_NAME.test('.amd64.tmp')).toBe(false);
});

describe('makeDirectory', () => {
  it('makes what is missing with the mode asked for and leaves what is there', () => {
    makeDirectory(at('a/b'), 0o711);
    makeDirectory(at('a/b'), 0o700);
    expect(fs.statSync(at('a/b')).mode & 0o777).toBe(0o711);
    makeDirectory(at('a/b/c'));
    expect(fs.statSync(at('a/b/c')).mode & 0o777).toBe(0o700);
  });
});
