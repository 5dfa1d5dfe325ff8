import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootPlaces } from '../../../src/serve/boot-files/place.ts';
import { type BootSite, makeBootSite, removeBootSite, write } from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite();
});
afterEach(() => removeBootSite(site));

const directories = (...names: string[]): string[] =>
  bootPlaces(
    names.map((name) => path.join(site.directory, name)),
    'ltsp',
    'amd64',
  ).map(({ directory }) => path.relative(site.directory, directory));

it('each TFTP directory that exists has one, whether or not there are boot files yet', () => {
  write(site.directory, { 'other/ltsp/amd64/': '', file: '' });
  expect(directories('tftp', 'other', 'none', 'file')).toEqual(['tftp/ltsp/amd64', 'other/ltsp/amd64']);
});

it('two names of one directory have one', () => {
  fs.symlinkSync('tftp', path.join(site.directory, 'tftpboot'));
  expect(directories('tftpboot', 'tftp')).toEqual(['tftp/ltsp/amd64']);
});

it('a directory that is a link is where the link leads', () => {
  write(site.directory, { 'elsewhere/': '', 'tftp/ltsp/': '' });
  fs.symlinkSync('../../elsewhere', path.join(site.tftp, 'ltsp/amd64'));
  expect(directories('tftp')).toEqual(['elsewhere']);
});

it.each([
  ['a file', () => write(site.tftp, { 'ltsp/amd64': '' })],
  ['a dangling link', () => write(site.tftp, { 'ltsp/': '' })],
])('%s in its place is an error', (kind, make) => {
  make();
  if (kind === 'a dangling link') fs.symlinkSync('nowhere', path.join(site.tftp, 'ltsp/amd64'));
  expect(() => directories('tftp')).toThrow(/^cannot put boot files into .*ltsp\/amd64: it is no directory/);
});
