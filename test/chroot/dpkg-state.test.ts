import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { readPackages } from '../../src/chroot/dpkg-state.ts';
import { UserError } from '../../src/errors.ts';
import { makePackage, realChroot, removeChroot } from '../real-chroot.ts';

let chroot: Chroot;
let status: string;

beforeEach(() => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dpkg-state-'));
  chroot = { name: 'some', path: directory };
  status = path.join(directory, 'var/lib/dpkg/status');
  fs.mkdirSync(path.join(directory, 'var/lib/dpkg/updates'), { recursive: true });
});

afterEach(() => fs.rmSync(chroot.path, { recursive: true, force: true }));

test('a status that is cut off or empty is told, by the packages whose files are listed', () => {
  const info = path.join(chroot.path, 'var/lib/dpkg/info');
  fs.mkdirSync(info);
  for (const name of ['one.list', 'one.md5sums', 'two:amd64.list', 'three.list'])
    fs.writeFileSync(path.join(info, name), '');
  const entry = (name: string): string => `Package: ${name}\nStatus: install ok installed\nVersion: 1\n\n`;
  fs.writeFileSync(status, entry('one') + entry('two') + entry('three'));
  expect(readPackages(chroot).unfinished).toEqual([]);
  fs.writeFileSync(status, entry('one'));
  const hint = 'as if it was cut off (the state before is in status-old)';
  expect(readPackages(chroot).unfinished).toEqual([`var/lib/dpkg/status lacks three and 1 more, ${hint}`]);
  fs.writeFileSync(status, '');
  expect(readPackages(chroot).unfinished).toEqual([`var/lib/dpkg/status lacks one and 2 more, ${hint}`]);
});

test('packages of a real chroot are those that its dpkg names, and one that fails to configure is told', async () => {
  const real = { name: 'amd64', path: await realChroot() };
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
    const format = '${binary:Package}\\t${Version}\\n';
    const said = execFileSync('chroot', [real.path, 'dpkg-query', '-W', '-f', format], { encoding: 'utf8' });
    const expected = Object.fromEntries(
      said
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')),
    );
    expect(Object.keys(expected).length).toBeGreaterThan(50);
    expect(readPackages(real)).toEqual({ dpkg: 'present', packages: expected, unfinished: [] });

    const postinst = { '/DEBIAN/postinst': '#!/bin/sh\nexit 1\n' };
    const file = makePackage(real.path, { name: 'broken', version: '1.2-3', files: postinst });
    expect(spawnSync('chroot', [real.path, 'dpkg', '-i', file]).status).toBe(1);
    const after = readPackages(real);
    expect(after.unfinished).toEqual(['broken is half-configured']);
    expect(after.packages.broken).toBe('1.2-3');
  } finally {
    removeChroot(real.path);
  }
});

test.each([
  ['install ok installed', true, []],
  ['hold ok installed', true, []],
  ['install reinstreq half-installed', true, ['pkg is half-installed']],
  ['install ok unpacked', true, ['pkg is unpacked']],
  ['install ok half-configured', true, ['pkg is half-configured']],
  ['install ok triggers-awaited', true, ['pkg is triggers-awaited']],
  ['install ok triggers-pending', true, ['pkg is triggers-pending']],
  ['deinstall ok config-files', false, []],
  ['purge ok not-installed', false, []],
])('Status: %s', (words, there, unfinished) => {
  fs.writeFileSync(status, `Package: pkg\nStatus: ${words}\nArchitecture: amd64\nVersion: 1\n`);
  expect(readPackages(chroot)).toEqual({ dpkg: 'present', packages: there ? { pkg: '1' } : {}, unfinished });
});

test('a package of several architectures has its own in the name', () => {
  const paragraph = (architecture: string): string =>
    `Package: libc6\nStatus: install ok installed\nArchitecture: ${architecture}\nMulti-Arch: same\nVersion: 2.36\n`;
  fs.writeFileSync(status, `${paragraph('amd64')}\n${paragraph('i386')}`);
  expect(readPackages(chroot).packages).toEqual({ 'libc6:amd64': '2.36', 'libc6:i386': '2.36' });
});

test('only fields at the beginning of a line count', () => {
  const description = 'Description: a text\n Package: not-me\n Status: install ok half-configured\n';
  fs.writeFileSync(status, `Package: pkg\nStatus: install ok installed\n${description}Version: 1\n`);
  expect(readPackages(chroot)).toEqual({ dpkg: 'present', packages: { pkg: '1' }, unfinished: [] });
});

test('a journal of dpkg in updates/ means unfinished work; its scratch file does not', () => {
  fs.writeFileSync(status, '');
  fs.writeFileSync(path.join(chroot.path, 'var/lib/dpkg/updates/tmp.i'), '');
  expect(readPackages(chroot).unfinished).toEqual([]);
  fs.writeFileSync(path.join(chroot.path, 'var/lib/dpkg/updates/0000'), '');
  expect(readPackages(chroot).unfinished).toEqual(['dpkg has not finished its work (updates/)']);
});

test('garbage between packages is passed over', () => {
  const garbage = Buffer.from([0, 255, 10, 10, 58, 10, 10, 10]);
  const good = Buffer.from('Package: __proto__\nStatus: install ok installed\nVersion: 1\n\n');
  fs.writeFileSync(status, Buffer.concat([garbage, good, garbage, Buffer.from('Package: cut\nStat')]));
  expect(Object.entries(readPackages(chroot).packages)).toEqual([['__proto__', '1']]);
});

test('a chroot without dpkg has no packages, and that is said', () => {
  fs.rmSync(path.join(chroot.path, 'var'), { recursive: true });
  expect(readPackages(chroot)).toEqual({ dpkg: 'absent', packages: {}, unfinished: [] });
});

test('a status file that is far too large is refused, not read', () => {
  fs.writeFileSync(status, '');
  fs.truncateSync(status, 2 * 1024 ** 3);
  expect(() => readPackages(chroot)).toThrow(UserError);
  expect(() => readPackages(chroot)).toThrow(
    'cannot read the packages of some: var/lib/dpkg/status: it has 2147483648 bytes',
  );
});

test.each([
  ['a FIFO', () => execFileSync('mkfifo', [status]), 'it is not a regular file'],
  ['a directory', () => fs.mkdirSync(status), 'it is not a regular file'],
  ['a link to the outside', () => fs.symlinkSync('/var/lib/dpkg/status', status), 'it is a symlink'],
])('%s in place of the status file is refused', (_, make, why) => {
  make();
  expect(() => readPackages(chroot)).toThrow(why);
});
