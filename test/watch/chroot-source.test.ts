import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cause } from '../../src/decide/event.ts';
import { type ChrootSourceOptions, watchChroot } from '../../src/watch/chroot-source.ts';
import type { Source } from '../../src/watch/source.ts';
import { Heard, repeatedly } from './heard.ts';
import { inotifyWatches } from './inotify-watches.ts';
import { replace, temporaryDirectory, write } from './tree.ts';

let outside: string;
let chroot: string;
let causes: Heard<Cause>;
let notices: string[];
let open: Source[];

beforeEach(() => {
  outside = temporaryDirectory('chroot-source');
  chroot = path.join(outside, 'amd64');
  for (const file of ['lib/dpkg/status', 'lib/dpkg/arch', 'lib/dpkg/lock', 'lib/apt/extended_states', 'log/dpkg.log']) {
    write(path.join(chroot, 'var', file), 'x');
  }
  write(path.join(chroot, 'etc/hostname'), 'x');
  causes = new Heard();
  notices = [];
  open = [];
});

afterEach(async () => {
  await Promise.all(open.map((source) => source.close()));
  fs.rmSync(outside, { recursive: true, force: true });
});

async function watch(options: Partial<ChrootSourceOptions> = {}): Promise<Source> {
  const onNotice = (text: string): void => void notices.push(text);
  const source = await watchChroot({
    path: chroot,
    extra: [],
    poll: 'auto',
    onChange: causes.add,
    onNotice,
    ...options,
  });
  open.push(source);
  return source;
}

const inside = (file: string): string => path.join(chroot, file);
const of = (file: string) => (cause: Cause) => 'path' in cause && cause.path === file;

describe('a watched chroot', () => {
  it('tells of each of 20 replacements of the status by rename', async () => {
    await watch();
    for (let i = 0; i < 20; i += 1) {
      const before = causes.all.length;
      replace(inside('var/lib/dpkg/status'), `state ${i}`);
      expect(await causes.next(of('var/lib/dpkg/status'), before)).toMatchObject({ kind: 'packages' });
    }
  });

  it.each([
    ['var/lib/dpkg/arch', replace],
    ['var/lib/dpkg/diversions', replace],
    ['var/lib/apt/extended_states', replace],
    ['var/log/dpkg.log', fs.appendFileSync],
  ])('tells of %s', async (file, change) => {
    await watch();
    change(inside(file), 'more');
    await causes.next(of(file));
  });

  it('tells of it when dpkg installs and removes a package', async () => {
    for (const name of ['info', 'updates', 'triggers']) fs.mkdirSync(inside(`var/lib/dpkg/${name}`));
    write(inside('var/lib/dpkg/status'), '');
    fs.rmSync(inside('var/lib/dpkg/arch'));
    write(path.join(outside, 'source/usr/share/example/file'), 'x');
    const control = [
      'Package: example',
      'Version: 1',
      'Architecture: all',
      'Maintainer: nobody',
      'Description: example',
    ];
    write(path.join(outside, 'source/DEBIAN/control'), `${control.join('\n')}\n`);
    const run = (command: string, ...args: string[]): unknown => execFileSync(command, args, { cwd: outside });
    run('dpkg-deb', '--build', 'source', 'example.deb');
    await watch();
    const dpkg = ['--root', chroot, '--log', inside('var/log/dpkg.log')];
    for (const action of [
      ['--install', 'example.deb'],
      ['--purge', 'example'],
    ]) {
      const before = causes.all.length;
      run('dpkg', ...dpkg, ...action);
      await causes.next(of('var/lib/dpkg/status'), before);
      await causes.next(of('var/log/dpkg.log'), before);
    }
  });

  it('says nothing of other files beside them', async () => {
    await watch();
    write(inside('var/lib/dpkg/lock'), 'y');
    write(inside('var/lib/dpkg/info/x.list'), 'y');
    write(inside('var/log/syslog'), 'y');
    replace(inside('var/lib/dpkg/status'), 'the last of all');
    await causes.next(of('var/lib/dpkg/status'));
    expect(causes.all.filter((cause) => !of('var/lib/dpkg/status')(cause))).toEqual([]);
  });

  it('costs three inotify watches, however many files there are', async () => {
    for (let i = 0; i < 3000; i += 1) write(inside(`var/lib/dpkg/info/package-${i}.list`));
    for (let i = 0; i < 300; i += 1) write(inside(`var/lib/dpkg/updates/${i}`));
    for (let i = 0; i < 50; i += 1) write(inside(`var/log/log-${i}/log`));
    const before = inotifyWatches();
    const source = await watch();
    expect(inotifyWatches() - before).toBe(3);
    replace(inside('var/lib/dpkg/status'), 'changed');
    fs.appendFileSync(inside('var/log/dpkg.log'), 'changed');
    replace(inside('var/lib/apt/extended_states'), 'changed');
    for (const name of ['lib/dpkg/status', 'log/dpkg.log', 'lib/apt/extended_states']) {
      await causes.next(of(`var/${name}`));
    }
    expect(inotifyWatches() - before).toBe(3);
    expect(source.watched).toEqual(['var/lib/dpkg', 'var/log', 'var/lib/apt'].map(inside));
    expect(source.mode).toBe('inotify');
    await source.close();
    // libuv lets a watch go that is closed in its own callback only after that
    await setImmediate();
    expect(inotifyWatches()).toBe(before);
  });

  it('tells of nothing once it is closed', async () => {
    const first = await watch();
    await first.close();
    const heardFirst = causes;
    causes = new Heard();
    await watch();
    replace(inside('var/lib/dpkg/status'), 'changed');
    await causes.next(of('var/lib/dpkg/status'));
    expect(heardFirst.all).toEqual([]);
  });
});

describe('extra paths', () => {
  it('tells of a file that is replaced, and of one that is not there yet', async () => {
    await watch({ extra: ['etc/hostname', '/etc/new/', 'none/such'] });
    replace(inside('etc/hostname'), 'y');
    await causes.next(of('etc/hostname'));
    write(inside('etc/new'), 'y');
    expect(await causes.next(of('etc/new'))).toEqual({ kind: 'path', path: 'etc/new' });
    expect(notices).toEqual([]);
  });

  it('tells of all below a directory, also below one that is made later, with a watch for each directory', async () => {
    for (let i = 0; i < 100; i += 1) write(inside(`opt/app/file-${i}`));
    write(inside('opt/app/sub/deep/file'));
    const before = inotifyWatches();
    await watch({ extra: ['opt/app'] });
    expect(inotifyWatches() - before).toBe(3 + 3);
    fs.appendFileSync(inside('opt/app/sub/deep/file'), 'y');
    await causes.next(of('opt/app/sub/deep/file'));
    fs.appendFileSync(inside('opt/app/file-7'), 'y');
    await causes.next(of('opt/app/file-7'));
    fs.mkdirSync(inside('opt/app/later'));
    await causes.next(of('opt/app/later'));
  });

  it('follows symlinks inside the chroot, never out of it', async () => {
    write(path.join(outside, 'secret/file'), 'x');
    write(inside('srv/real/file'), 'x');
    fs.symlinkSync('/srv/real', inside('absolute'));
    fs.symlinkSync('../../../../../secret', inside('out'));
    fs.symlinkSync(path.join(outside, 'secret'), inside('etc/out'));
    const source = await watch({ extra: ['absolute', 'out', 'etc/out'] });
    expect(source.watched.filter((directory) => !directory.startsWith(chroot))).toEqual([]);
    expect(notices).toEqual(['out', 'etc/out'].map((name) => `cannot watch ${inside(name)}: it leads nowhere`));
    fs.appendFileSync(inside('srv/real/file'), 'y');
    await causes.next(of('absolute/file'));
  });

  it('does not follow symlinks below a directory', async () => {
    write(path.join(outside, 'secret/sub/file'), 'x');
    fs.mkdirSync(inside('opt/app'), { recursive: true });
    fs.symlinkSync(path.join(outside, 'secret'), inside('opt/app/link'));
    const before = inotifyWatches();
    await watch({ extra: ['opt/app'] });
    expect(inotifyWatches() - before).toBe(3 + 1);
  });
});

describe('a chroot in which something is wrong', () => {
  it('is watched without dpkg, with a file where a directory should be, and when it is not there at all', async () => {
    fs.rmSync(inside('var/lib'), { recursive: true });
    write(inside('var/lib'), 'a file');
    expect((await watch()).watched).toEqual([inside('var/log')]);
    expect((await watch({ path: path.join(outside, 'gone'), extra: ['etc'] })).watched).toEqual([]);
    expect(notices).toEqual([]);
  });

  it('may vanish while it is watched', async () => {
    const source = await watch({ extra: ['etc'] });
    fs.rmSync(chroot, { recursive: true });
    await causes.next(of('var/lib/dpkg/status'));
    await causes.next(of('etc/hostname'));
    await source.close();
  });
});

describe('polling', () => {
  it('finds what is changed, replaced, made and removed, without inotify', async () => {
    write(inside('opt/app/sub/old'), 'x');
    write(inside('opt/app/gone'), 'x');
    const before = inotifyWatches();
    const source = await watch({ poll: 'on', extra: ['opt/app'] });
    expect(source.mode).toBe('polling');
    expect(inotifyWatches()).toBe(before);
    const files = ['var/lib/dpkg/status', 'var/lib/dpkg/diversions', 'var/log/dpkg.log'];
    const all = [...files, 'opt/app/sub/old', 'opt/app/gone'].map((file) => causes.next(of(file)));
    let n = 0;
    await repeatedly(() => {
      n += 1;
      replace(inside('var/lib/dpkg/status'), `changed ${n}`);
      write(inside('var/lib/dpkg/diversions'), `new ${n}`);
      fs.appendFileSync(inside('var/log/dpkg.log'), 'more');
      fs.appendFileSync(inside('opt/app/sub/old'), 'more');
      if (n % 8 === 1) fs.rmSync(inside('opt/app/gone'));
      if (n % 8 === 0) write(inside('opt/app/gone'));
    }, Promise.all(all));
    const dpkg = causes.all.filter((cause) => 'path' in cause && cause.path.startsWith('var/lib/dpkg/'));
    expect(dpkg.filter((cause) => !files.some((file) => of(file)(cause)))).toEqual([]);
  });
});
