import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { blindFileSystem, blindType } from '../../src/watch/file-systems.ts';
import type { Place } from '../../src/watch/place.ts';
import { watchPlaces } from '../../src/watch/places.ts';
import { Heard, repeatedly } from './heard.ts';
import { temporaryDirectory, write } from './tree.ts';

let directory: string;
let heard: Heard<string>;

beforeEach(() => {
  directory = temporaryDirectory('places');
  heard = new Heard();
});

afterEach(() => {
  vi.useRealTimers();
  fs.rmSync(directory, { recursive: true, force: true });
});

describe('a directory that is not there at first, or is another one later', () => {
  const place = (): Place => {
    const onEntry = (entry: string): void => heard.add(entry);
    return { label: 'x', directory: path.join(directory, 'x'), reach: 'entries', wants: () => true, onEntry };
  };

  it('is taken up within a minute, and told of', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const source = await watchPlaces({ find: () => [place()], poll: 'auto', onNotice: heard.add });
    expect(source.watched).toEqual([]);

    fs.mkdirSync(path.join(directory, 'x'));
    vi.advanceTimersByTime(60_000);
    await heard.next((entry) => entry === '');
    expect(source.watched).toEqual([path.join(directory, 'x')]);
    write(path.join(directory, 'x/first'));
    await heard.next((entry) => entry === 'first');

    fs.renameSync(path.join(directory, 'x'), path.join(directory, 'former'));
    fs.mkdirSync(path.join(directory, 'x'));
    const before = heard.all.length;
    vi.advanceTimersByTime(60_000);
    await heard.next((entry) => entry === '', before);
    write(path.join(directory, 'former/old'));
    write(path.join(directory, 'x/second'));
    await heard.next((entry) => entry === 'second');
    expect(heard.all).not.toContain('old');
    await source.close();
  });

  it('stays watched when it cannot be found out for a moment what is there', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    fs.mkdirSync(path.join(directory, 'x'));
    let find = (): Place[] => [place()];
    const source = await watchPlaces({ find: () => find(), poll: 'auto', onNotice: heard.add });
    find = () => {
      throw new Error('no descriptors');
    };
    vi.advanceTimersByTime(180_000);
    write(path.join(directory, 'x/file'));
    await heard.next((entry) => entry === 'file');
    expect(heard.all.filter((entry) => entry !== 'file')).toEqual(['cannot look for what to watch: no descriptors']);
    await source.close();
  });
});

describe('file systems where inotify is blind', () => {
  it.each([
    ['NFS', 0x6969n],
    ['CIFS', 0xff534d42n],
    ['CIFS', -11317950n],
    ['SMB', 0xfe534d42n],
    ['FUSE', 0x65735546n],
    ['9p', 0x01021997n],
  ])('%s is one (%s)', (name, type) => {
    expect(blindType(type)).toBe(name);
  });

  it.each([
    ['ext4', 0xef53n],
    ['btrfs', 0x9123683en],
    ['xfs', 0x58465342n],
    ['zfs', 0x2fc12fc1n],
    ['tmpfs', 0x01021994n],
    ['overlayfs', 0x794c7630n],
  ])('%s is none', (_name, type) => {
    expect(blindType(type)).toBeUndefined();
  });

  it('reads the type from a real mount', () => {
    expect(blindFileSystem('/proc')).toBeUndefined();
    expect(() => blindFileSystem(path.join(directory, 'none'))).toThrow('ENOENT');
  });
});

describe('when inotify has run out', () => {
  let bundle: string;

  beforeAll(async () => {
    // below node_modules, so that the bundle finds koffi
    const cache = path.resolve('node_modules/.cache');
    fs.mkdirSync(cache, { recursive: true });
    bundle = path.join(fs.mkdtempSync(path.join(cache, 'watch-')), 'source.mjs');
    await build({
      stdin: { contents: PROGRAM, resolveDir: path.resolve('src/watch'), loader: 'ts' },
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['koffi'],
      logLevel: 'error',
    });
    return () => fs.rmSync(path.dirname(bundle), { recursive: true, force: true });
  });

  /** Watches a chroot, and says in lines of JSON what it is told. */
  const PROGRAM = `
    import { watchChroot } from './chroot-source.ts';
    const say = (kind: string) => (what: unknown) => console.log(JSON.stringify({ [kind]: what }));
    const [path = '', poll] = process.argv.slice(2);
    const source = await watchChroot({
      path, extra: ['etc'], poll: poll === 'off' ? 'off' : 'auto', onChange: say('cause'), onNotice: say('notice'),
    });
    say('mode')(source.mode);
    process.stdin.resume().once('end', () => source.close());
  `;

  /** In a user namespace of its own, with its own limit. */
  function start(limit: string, poll: string): ChildProcess {
    const script = `echo ${limit}; exec "$0" "$@"`;
    const args = [process.execPath, bundle, directory, poll];
    const child = spawn('unshare', ['--user', '--map-root-user', 'sh', '-c', script, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', heard.add);
    return child;
  }

  async function stopped(child: ChildProcess): Promise<number | null> {
    const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    return code;
  }

  beforeEach(() => {
    for (const file of ['lib/dpkg/status', 'lib/apt/extended_states', 'log/dpkg.log']) {
      write(path.join(directory, 'var', file), 'x');
    }
    for (let i = 0; i < 3; i += 1) write(path.join(directory, `etc/${i}/file`));
  });

  const saying = (...words: string[]) => {
    return (line: string): boolean => words.every((word) => line.includes(word));
  };

  it('polls what it has no watch for, says so once for each directory, and ends as usual', async () => {
    const child = start('1 > /proc/sys/user/max_inotify_watches', 'auto');
    await heard.next(saying('mode', 'polling'));
    const files = ['var/lib/dpkg/status', 'var/log/dpkg.log', 'var/lib/apt/extended_states', 'etc/1/file'];
    const all = files.map((file) => heard.next(saying('cause', file)));
    await repeatedly(() => {
      for (const file of files) fs.appendFileSync(path.join(directory, file), 'more');
    }, Promise.all(all));
    expect(await stopped(child)).toBe(0);
    const notices = heard.all.filter(saying('notice'));
    expect(new Set(notices).size).toBe(notices.length);
    const words = ['have run out (raise the sysctl fs.inotify.max_user_watches)', 'looked at every 5 s instead'];
    expect(notices.filter((line) => !saying(...words)(line))).toEqual([]);
    expect(notices.length).toBeGreaterThanOrEqual(3);
  });

  it('polls without any inotify instance', async () => {
    const child = start('0 > /proc/sys/user/max_inotify_instances', 'auto');
    await heard.next(saying('mode', 'polling'));
    await heard.next(saying('notice', "inotify's instances have run out"));
    await repeatedly(
      () => fs.appendFileSync(path.join(directory, 'var/lib/dpkg/status'), 'more'),
      heard.next(saying('cause', 'var/lib/dpkg/status')),
    );
    expect(await stopped(child)).toBe(0);
  });

  it('does not poll when that is off, and says what follows', async () => {
    const child = start('0 > /proc/sys/user/max_inotify_watches', 'off');
    await heard.next(saying('mode', 'inotify'));
    await heard.next(saying('notice', 'watch.poll is off, so that only the regular look finds changes'));
    expect(await stopped(child)).toBe(0);
  });
});
