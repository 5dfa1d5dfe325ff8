import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sitePrograms } from '../../src/system/site-programs.ts';

let parent: string;
let directory: string;
beforeEach(() => {
  parent = fs.mkdtempSync(path.join(os.tmpdir(), 'site-programs-'));
  directory = path.join(parent, 'checks.d');
  fs.mkdirSync(directory);
});
afterEach(() => fs.rmSync(parent, { recursive: true }));

function put(name: string, mode = 0o755): string {
  const file = path.join(directory, name);
  fs.writeFileSync(file, '#!/bin/sh\n');
  fs.chmodSync(file, mode);
  return file;
}

describe('sitePrograms', () => {
  it('has the executable files in byte order, and links to such', () => {
    for (const name of ['b', '10-z', 'B.sh', '9_a']) put(name);
    fs.symlinkSync('/bin/true', path.join(directory, 'a'));
    expect(sitePrograms(directory)).toEqual({ names: ['10-z', '9_a', 'B.sh', 'a', 'b'], skipped: [] });
  });

  it.each(['a~', '.a', '#a#', 'a.bak', 'a.orig', 'a.swp', 'a.dpkg-old', 'a.dpkg-dist', 'a.ucf-new'])(
    'says nothing of %s',
    (name) => {
      put(name);
      expect(sitePrograms(directory)).toEqual({ names: [], skipped: [] });
    },
  );

  it.each<[string, (name: string) => void, string, string]>([
    ['is not executable', (name) => put(name, 0o644), 'no-program', 'it is not executable'],
    ['is a directory', (name) => fs.mkdirSync(path.join(directory, name)), 'no-program', 'it is not a regular file'],
    ['is a dangling link', (name) => fs.symlinkSync('x', path.join(directory, name)), 'no-program', 'leads nowhere'],
    ['is a link to itself', (name) => fs.symlinkSync(name, path.join(directory, name)), 'no-program', 'leads nowhere'],
    ["is another user's", (name) => fs.chownSync(put(name), 1000, 0), 'not-safe', 'belongs to user 1000, not to root'],
    ['all can write to', (name) => void put(name, 0o757), 'not-safe', 'can be changed by everyone'],
    ['a group can write to', (name) => fs.chownSync(put(name, 0o775), 0, 50), 'not-safe', 'can be changed by group 50'],
  ])('skips one that %s, and says why', (_, make, kind, why) => {
    make('it');
    expect(sitePrograms(directory)).toEqual({
      names: [],
      skipped: [{ name: 'it', kind, why: expect.stringContaining(why) }],
    });
  });

  it('skips a name that is none of a program', () => {
    put('it is');
    expect(sitePrograms(directory).skipped).toMatchObject([{ name: 'it is', kind: 'no-program' }]);
  });

  it('skips all of a directory that others can write to', () => {
    put('it');
    fs.chmodSync(directory, 0o777);
    expect(sitePrograms(directory)).toMatchObject({ names: [], skipped: [{ name: 'it', kind: 'not-safe' }] });
  });

  it.each(['absent', 'absent/absent', '../checks.d/file/x'])('has none where there is no directory (%s)', (name) => {
    put('file');
    expect(sitePrograms(path.join(directory, name))).toEqual({ names: [], skipped: [] });
  });
});
