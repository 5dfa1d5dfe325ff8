import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { imageAccess, servedByNfs } from '../../src/serve/image-access.ts';
import { makeRoot } from './root.ts';

let root: string;
beforeEach(() => {
  root = makeRoot();
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const load = (): Config => loadConfig({ root, checkCron: () => undefined });
const write = (file: string, text: string): void => {
  fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  fs.writeFileSync(path.join(root, file), text);
};
const access = (): ReturnType<typeof imageAccess> => imageAccess(load(), load().defaults.serve);

describe('imageAccess', () => {
  it('is root and the group of nbd-server, by its config or by its name', () => {
    write('etc/group', 'root:x:0:\nnbd:x:117:\nstaff:x:50:\n');
    expect(access()).toEqual({ mode: 0o640, gid: 117 });
    write('etc/nbd-server/config', '[generic]\n  user = nbd\n  group = staff\n');
    expect(access()).toEqual({ mode: 0o640, gid: 50 });
  });

  it('leaves the group where no nbd-server is', () => {
    expect(access()).toEqual({ mode: 0o640, gid: null });
  });

  it('lets everyone read where NFS serves the base directory', () => {
    write('etc/exports', '/opt/ltsp *(ro,no_root_squash)\n');
    expect(access()).toEqual({ mode: 0o644, gid: null });
  });

  it('is what is configured', () => {
    write('etc/group', 'teachers:x:2000:\n');
    write('etc/ltsp/ltsp-autoimage.toml', '[serve]\nmode = "0600"\ngroup = "teachers"\n');
    expect(access()).toEqual({ mode: 0o600, gid: 2000 });
    write('etc/group', '');
    expect(access).toThrow('cannot give images to group teachers: there is no such group (serve.group)');
  });
});

describe('servedByNfs', () => {
  it.each([
    ['/opt/ltsp *(ro)', true],
    ['/opt *(ro)', true],
    ['/opt/ltsp/images *(ro)', true],
    ['/ *(ro)', true],
    ['/opt/lt *(ro)', false],
    ['# /opt/ltsp *(ro)', false],
    ['/home *(rw)', false],
  ])('%s: %s', (line, served) => {
    write('etc/exports.d/ltsp.exports', `${line}\n`);
    expect(servedByNfs(load())).toBe(served);
  });
});
