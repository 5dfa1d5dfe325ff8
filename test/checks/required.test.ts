import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { missingPaths } from '../../src/checks/required.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'required-'));
  fs.mkdirSync(path.join(root, 'usr/sbin'), { recursive: true });
  fs.mkdirSync(path.join(root, 'etc'));
  fs.symlinkSync('usr/sbin', path.join(root, 'sbin'));
  fs.writeFileSync(path.join(root, 'usr/sbin/real-init'), 'x');
  fs.symlinkSync('/usr/sbin/real-init', path.join(root, 'usr/sbin/init'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

it('follows links as the client will', () => {
  expect(missingPaths(root, ['sbin/init', 'etc', '/etc'])).toEqual([]);
});

it('says of each path what is wrong', () => {
  fs.writeFileSync(path.join(root, 'etc/passwd'), '');
  fs.symlinkSync('nowhere', path.join(root, 'etc/dangling'));
  fs.symlinkSync('circle', path.join(root, 'etc/circle'));
  expect(missingPaths(root, ['etc/passwd', 'etc/dangling', 'etc/circle', 'bin/sh', 'etc/passwd/x'])).toEqual([
    'etc/passwd is empty',
    'etc/dangling is a dangling link',
    'etc/circle is a link that leads in a circle',
    'bin/sh is missing',
    'etc/passwd/x is missing',
  ]);
});

it('never takes a file of the server for one of the image', () => {
  fs.symlinkSync('/etc/hostname', path.join(root, 'etc/name'));
  fs.symlinkSync('../../../../../../etc/hostname', path.join(root, 'etc/name2'));
  expect(fs.existsSync('/etc/hostname')).toBe(true);
  expect(missingPaths(root, ['etc/name', 'etc/name2'])).toEqual([
    'etc/name is a dangling link',
    'etc/name2 is a dangling link',
  ]);
});

it('does not wait for the writer of a FIFO', () => {
  execFileSync('mkfifo', [path.join(root, 'etc/fifo')]);
  expect(missingPaths(root, ['etc/fifo'])).toEqual([]);
});
