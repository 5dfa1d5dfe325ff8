import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchFiles } from '../../src/watch/config-source.ts';
import type { Source } from '../../src/watch/source.ts';
import { Heard } from './heard.ts';
import { inotifyWatches } from './inotify-watches.ts';
import { replace, temporaryDirectory, write } from './tree.ts';

let directory: string;
let changed: Heard<string>;
let source: Source | undefined;

beforeEach(() => {
  directory = temporaryDirectory('config-source');
  changed = new Heard();
});

afterEach(async () => {
  await source?.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

const at = (file: string): string => path.join(directory, file);

async function watch(...files: string[]): Promise<Source> {
  source = await watchFiles(files.map(at), changed.add, changed.add);
  return source;
}

describe('watched files', () => {
  it('are told of when they are written, replaced, removed and made, and their neighbours are not', async () => {
    write(at('etc/ltsp.conf'), 'x');
    await watch('etc/ltsp.conf', 'etc/ours.toml');
    write(at('etc/other'), 'x');
    for (const change of [fs.appendFileSync, replace, (file: string) => fs.rmSync(file), fs.writeFileSync]) {
      const before = changed.all.length;
      change(at('etc/ltsp.conf'), 'y');
      await changed.next((file) => file === at('etc/ltsp.conf'), before);
    }
    write(at('etc/ours.toml'), 'x');
    await changed.next((file) => file === at('etc/ours.toml'));
    expect(changed.all).not.toContain(at('etc/other'));
  });

  it('in one directory share a watch', async () => {
    write(at('etc/a'));
    for (let i = 0; i < 50; i += 1) write(at(`etc/other-${i}/x`));
    const before = inotifyWatches();
    const { watched } = await watch('etc/a', 'etc/b', 'etc/c');
    expect(inotifyWatches() - before).toBe(1);
    expect(watched).toEqual([at('etc')]);
  });

  it('are told of by what is in them when they are directories', async () => {
    fs.mkdirSync(at('etc/conf.d'), { recursive: true });
    await watch('etc/conf.d');
    write(at('etc/conf.d/new.conf'), 'x');
    await changed.next((file) => file === at('etc/conf.d/new.conf'));
  });

  it('are told of by the name of the symlink that leads to them', async () => {
    write(at('srv/real.conf'), 'x');
    fs.mkdirSync(at('etc'));
    fs.symlinkSync('../srv/real.conf', at('etc/ltsp.conf'));
    await watch('etc/ltsp.conf');
    replace(at('srv/real.conf'), 'y');
    await changed.next((file) => file === at('etc/ltsp.conf'));
  });

  it('may be in a directory that does not exist, or lead to each other', async () => {
    fs.symlinkSync('b', at('a'));
    fs.symlinkSync('a', at('b'));
    expect((await watch('none/such', 'a')).watched).toEqual([directory]);
    expect(changed.all).toEqual([]);
  });
});
