import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { defaults } from '../../src/config/defaults.ts';
import { notYet } from '../../src/config/not-yet.ts';
import { validate } from '../../src/config/problems.ts';
import { keysOfTables } from '../../src/config/schema.ts';
import { parseToml } from '../../src/config/toml.ts';
import { siteWith } from './site.ts';

const shipped = (name: string): string => fs.readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
const text = shipped('config/ltsp-autoimage.toml');
/** Settings begin right after the `#`, elements of a long list after two blanks; prose after one. */
const uncommented = text.replaceAll(/^#(?=[a-z]|\]|\[| {2}")/gm, '');

const documented = [...keysOfTables]
  .filter(([table]) => !table.startsWith('chroot.'))
  .flatMap(([table, keys]) => keys.map((key) => [table, key].filter(Boolean).join('.')))
  .filter((key) => !keysOfTables.has(key) && !['notify', 'page', 'chroot'].includes(key));

test('config/ltsp-autoimage.toml as it is sets nothing', () => {
  const { settings, problems } = validate(parseToml(text, 'f'));
  expect(problems).toEqual([]);
  expect(Object.values(settings).filter((value) => JSON.stringify(value) !== '{}')).toEqual([]);
});

test('config/ltsp-autoimage.toml without the comment signs is exactly the defaults', () => {
  const { settings, problems } = validate(parseToml(uncommented, 'f'));
  expect(problems).toEqual([]);
  expect({ ...settings, chroot: {} }).toEqual(defaults);
});

test.each(documented)('%s is documented in config/ltsp-autoimage.toml', (key) => {
  expect(parseToml(uncommented, 'f').written(key.split('.'))).not.toBe('');
});

test.each(documented)('%s is documented in the man page', (key) => {
  const name = key.split('.').at(-1);
  expect(shipped('man/ltsp-autoimage.toml.5')).toMatch(new RegExp(`^\\.BR (?:.*" )?${name} `, 'm'));
});

test.each(Object.keys(notYet))('%s, which this version does not have, says so there', (key) => {
  const lines = text.split('\n');
  const [table = '', name] = key.split('.');
  if (name === undefined) return expect(text).toContain('[page] is not available yet');
  const at = lines.findIndex((line, index) => line.startsWith(`#${name} = `) && index > lines.indexOf(`[${table}]`));
  const start = lines.lastIndexOf('', at);
  expect(lines.slice(start, at).join(' ')).toContain('not available yet');
});

test('the man page is free of mistakes', () => {
  const file = new URL('../../man/ltsp-autoimage.toml.5', import.meta.url).pathname;
  expect(execFileSync('man', ['--warnings', '-l', file], { stdio: ['ignore', 'ignore', 'pipe'] })).toBeNull();
});

test('the excludes file leaves mount points and empty directories in, and private things out', () => {
  const stays = ['etc/passwd', 'etc/ssh/ssh_host_rsa_key.pub', 'var/log/nginx/.keep', 'root/.bashrc', 'boot/vmlinuz'];
  const goes = [
    ...['proc/1/maps', 'tmp/.X0-lock', 'root/.bash_history', 'root/.ssh/id_rsa', 'home/anna/mail', 'home/.hidden/x'],
    ...[
      'etc/ssh/ssh_host_rsa_key',
      'var/log/syslog.1',
      'var/log/nginx/access.log',
      'opt/ltsp/images/a.img',
      'swapfile',
    ],
  ];
  const root = siteWith(Object.fromEntries([...stays, ...goes].map((file) => [`/tree/${file}`, 'x'])));
  const excludes = path.join(root, 'excludes');
  // comments are for us to take out: mksquashfs takes every line for a pattern
  const patterns = shipped('config/ltsp-update-image.excludes')
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line));
  fs.writeFileSync(excludes, `${patterns.join('\n')}\n`);
  const image = path.join(root, 'image');
  const options = ['-noappend', '-no-progress', '-wildcards', '-ef', excludes];
  execFileSync('mksquashfs', [path.join(root, 'tree'), image, ...options], { stdio: 'pipe' });
  const listed = execFileSync('unsquashfs', ['-l', '-d', '', image], { encoding: 'utf8' }).split('\n');
  expect(stays.filter((file) => !listed.includes(`/${file}`))).toEqual([]);
  expect(goes.filter((file) => listed.includes(`/${file}`))).toEqual([]);
  expect(['/proc', '/tmp', '/home', '/opt/ltsp'].filter((directory) => !listed.includes(directory))).toEqual([]);
});
