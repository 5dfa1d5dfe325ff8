import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchBase } from '../../src/watch/base-source.ts';
import type { Source } from '../../src/watch/source.ts';
import { Heard } from './heard.ts';
import { inotifyWatches } from './inotify-watches.ts';
import { temporaryDirectory, write } from './tree.ts';

let base: string;
let heard: Heard<string[]>;
let sources: Source[];

beforeEach(() => {
  base = temporaryDirectory('base-source');
  heard = new Heard();
  sources = [];
});

afterEach(async () => {
  await Promise.all(sources.map((source) => source.close()));
  fs.rmSync(base, { recursive: true, force: true });
});

/** Hears what there is in the base directory at each call. */
async function watch(directory = base): Promise<Source> {
  const source = await watchBase(directory, () => heard.add(fs.readdirSync(base)), console.error);
  sources.push(source);
  return source;
}

describe('the base directory', () => {
  it('tells of a directory that comes, is renamed and goes', async () => {
    await watch();
    fs.mkdirSync(path.join(base, 'amd64'));
    await heard.next((names) => names.includes('amd64'));
    fs.renameSync(path.join(base, 'amd64'), path.join(base, 'arm64'));
    await heard.next((names) => names.includes('arm64') && !names.includes('amd64'));
    fs.rmdirSync(path.join(base, 'arm64'));
    await heard.next((names) => names.length === 0, heard.all.length);
  });

  it('tells of a symlink, which may lead to a chroot', async () => {
    await watch();
    fs.symlinkSync('/', path.join(base, 'host'));
    await heard.next((names) => names.includes('host'));
  });

  it('has one inotify watch, whatever is in it', async () => {
    for (let i = 0; i < 20; i += 1) write(path.join(base, `chroot-${i}/usr/bin/true`));
    write(path.join(base, 'images/amd64.img'));
    const before = inotifyWatches();
    await watch();
    expect(inotifyWatches() - before).toBe(1);
  });

  it('says nothing of images, plain files, hidden names and what is deeper', async () => {
    fs.mkdirSync(path.join(base, 'amd64'));
    await watch();
    write(path.join(base, 'images/amd64.img'));
    write(path.join(base, '.hidden/x'));
    write(path.join(base, 'notes'), 'x');
    write(path.join(base, 'amd64/bin/true'));
    fs.mkdirSync(path.join(base, 'last'));
    await heard.next((names) => names.includes('last'));
    expect(heard.all.filter((names) => !names.includes('last'))).toEqual([]);
  });

  it('need not exist', async () => {
    expect((await watch(path.join(base, 'none'))).watched).toEqual([]);
  });
});
