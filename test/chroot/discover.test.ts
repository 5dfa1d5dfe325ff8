import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { discover, nameOf } from '../../src/chroot/discover.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { UsageError } from '../../src/errors.ts';

let root: string;
let base: string;

beforeEach(() => {
  root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'discover-')));
  base = path.join(root, 'opt/ltsp');
  fs.mkdirSync(base, { recursive: true });
});

afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

test('each directory of the base directory with bin/true is a chroot, images and hidden ones aside', async () => {
  for (const name of ['i386', 'amd64', 'fat.img.d', 'images', '.hidden', '.amd64.new']) makeChroot(name);
  fs.mkdirSync(path.join(base, 'empty'));
  fs.mkdirSync(path.join(base, 'true-is-a-directory/bin/true'), { recursive: true });
  fs.writeFileSync(path.join(base, 'file'), '');
  fs.symlinkSync('nowhere', path.join(base, 'dangling'));
  expect(await discover(config())).toEqual({
    chroots: [
      { name: 'amd64', path: `${base}/amd64` },
      { name: 'fat.img', path: `${base}/fat.img.d` },
      { name: 'i386', path: `${base}/i386` },
    ],
    problems: [],
  });
});

test.each([
  ['relative', 'usr/bin'],
  ['absolute in the chroot', '/usr/bin'],
])('bin may be a symlink, %s', async (_, target) => {
  fs.mkdirSync(path.join(base, 'amd64/usr/bin'), { recursive: true });
  fs.writeFileSync(path.join(base, 'amd64/usr/bin/true'), '');
  fs.symlinkSync(target, path.join(base, 'amd64/bin'));
  expect(await names(config())).toEqual(['amd64']);
});

test('a bin that leads out of the chroot makes it none', async () => {
  fs.mkdirSync(path.join(base, 'amd64'));
  fs.symlinkSync('/bin', path.join(base, 'amd64/bin'));
  expect(await discover(config())).toEqual({ chroots: [], problems: [] });
});

test('a symlink to a chroot has the name of the link and the path of the directory', async () => {
  const elsewhere = makeChroot(path.join(root, 'srv/chroot-2026'));
  fs.symlinkSync(elsewhere, path.join(base, 'amd64'));
  expect((await discover(config())).chroots).toEqual([{ name: 'amd64', path: elsewhere }]);
});

test('chroots named in the config are taken as well; one that the base directory has already is no second', async () => {
  makeChroot('amd64');
  makeChroot(path.join(root, 'srv/other'));
  expect(await names(config(['/srv/other/', '/opt/ltsp/amd64']))).toEqual(['amd64', 'other']);
});

test('/ is named after the architecture of the machine, also below another root', async () => {
  makeChroot(root);
  const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
  expect((await discover(config(['/']))).chroots).toEqual([{ name: architecture, path: root }]);
  expect((await discover({ ...config(), root: '', chroots: ['/'] })).chroots).toEqual([
    { name: architecture, path: '/' },
  ]);
});

test.each([
  ['does not exist', () => {}, 'it does not exist'],
  ['is a dangling link', (file: string) => fs.symlinkSync('nowhere', file), 'it does not exist'],
  ['is a file', (file: string) => fs.writeFileSync(file, ''), 'it is not a directory'],
  ['is empty', (file: string) => fs.mkdirSync(file), 'it has no bin/true'],
])('a chroot of the config that %s is a problem in words, and the others go on', async (_, make, why) => {
  makeChroot('amd64');
  const listed = path.join(root, 'listed');
  make(listed);
  const { chroots, problems } = await discover(config(['/listed']));
  expect(chroots.map(({ name }) => name)).toEqual(['amd64']);
  expect(problems).toEqual([`cannot use the chroot ${listed}: ${why}`]);
});

test.each(['with blank', 'line\nbreak', '-option', 'all', 'caf\u00e9', '$(x)'])(
  'a chroot that is named %j is a problem, since an image cannot be named so',
  async (name) => {
    makeChroot(name);
    const { chroots, problems } = await discover(config());
    expect(chroots).toEqual([]);
    expect(problems).toEqual([expect.stringContaining(`${JSON.stringify(name)} cannot be the name of an image`)]);
  },
);

test('a copy beside a chroot does not stop it: the copy is left alone, and that is said', async () => {
  makeChroot('amd64');
  makeChroot('amd64.bak');
  const { chroots, problems } = await discover(config());
  expect(chroots).toEqual([{ name: 'amd64', path: `${base}/amd64` }]);
  expect(problems).toEqual([
    `cannot use the chroot ${base}/amd64.bak: ${base}/amd64 and ${base}/amd64.bak are both named amd64, ` +
      'and the first is the one that counts (rename one of them)',
  ]);
});

test('a chroot that the config names must not have the name of another', async () => {
  makeChroot('amd64');
  const elsewhere = path.join(base, 'images/amd64');
  fs.mkdirSync(path.join(elsewhere, 'bin'), { recursive: true });
  fs.writeFileSync(path.join(elsewhere, 'bin/true'), '');
  await expect(discover({ ...config(), chroots: [elsewhere] })).rejects.toThrow(UsageError);
  await expect(discover({ ...config(), chroots: [elsewhere] })).rejects.toThrow(
    `cannot tell two chroots apart: ${base}/amd64 and ${elsewhere} are both named amd64 (rename one of them)`,
  );
});

test('a base directory that is not there is a problem in words', async () => {
  fs.rmdirSync(base);
  expect(await discover(config())).toEqual({
    chroots: [],
    problems: [`cannot look for chroots in ${base}: it does not exist`],
  });
});

test.each([
  ['/opt/ltsp/amd64', 'amd64'],
  ['/opt/ltsp/amd64/', 'amd64'],
  ['/opt/ltsp/fat.img.d', 'fat.img'],
  ['/srv/debian.d//', 'debian'],
])('%s is named %s', (directory, name) => {
  expect(nameOf(directory)).toBe(name);
});

function config(chroots: readonly string[] = []): Config {
  const plain = loadConfig({ root, checkCron: () => undefined });
  return { ...plain, base, chroots: chroots.map((file) => path.join(root, file)) };
}

async function names(of: Config): Promise<string[]> {
  return (await discover(of)).chroots.map(({ name }) => name);
}

/** @param place absolute, or relative to the base directory */
function makeChroot(place: string): string {
  const directory = path.resolve(base, place);
  fs.mkdirSync(path.join(directory, 'bin'), { recursive: true });
  fs.writeFileSync(path.join(directory, 'bin/true'), '');
  return directory;
}
