import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ConfiguredNbdServer, readNbdServer } from '../../../src/serve/nbd/server.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'nbd-config-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const write = (file: string, text: string): string => {
  const whole = path.join(root, file);
  fs.mkdirSync(path.dirname(whole), { recursive: true });
  fs.writeFileSync(whole, text);
  return whole;
};

const read = (): ConfiguredNbdServer => {
  const server = readNbdServer({ root });
  if (server.kind !== 'configured') throw new Error(server.kind);
  return server;
};

it("Debian's own config is port 10809 on all addresses, without exports", () => {
  const file = write(
    'etc/nbd-server/config',
    '[generic]\n\tuser = nbd\n\tgroup = nbd\n\tincludedir = /etc/nbd-server/conf.d\n',
  );
  fs.mkdirSync(path.join(root, 'etc/nbd-server/conf.d'));
  expect(read()).toEqual({
    kind: 'configured',
    file,
    port: 10809,
    addresses: ['::', '0.0.0.0'],
    user: 'nbd',
    group: 'nbd',
    includedir: path.join(root, 'etc/nbd-server/conf.d'),
    exports: [],
    problems: [],
  });
});

it('exports come from the config and from the *.conf files of its directory', () => {
  const config = write('etc/nbd-server/config', '[generic]\nincludedir = /d\n[swap]\nexportname = /swap/%s\n');
  const section = '[/opt/ltsp/a]\nexportname = /i/a.img\nauthfile = /etc/ltsp/nbd-server.allow\n';
  const conf = write('d/a.conf', section);
  write('d/b.conf.bak', '[b]\nexportname = /i/b.img\n');
  expect(read().exports).toEqual([
    { name: 'swap', image: '/swap/%s', authfile: null, definedIn: config },
    {
      name: '/opt/ltsp/a',
      image: '/i/a.img',
      authfile: path.join(root, 'etc/ltsp/nbd-server.allow'),
      definedIn: conf,
    },
  ]);
});

it('paths that have the directory of --root already are taken as they are', () => {
  write('etc/nbd-server/config', `[generic]\nincludedir = ${root}/d\nport = 10810\nlistenaddr = 10.0.0.1, ::1\n`);
  write('d/a.conf', `[a]\nexportname = /a\nauthfile = ${root}/allow\n`);
  const { includedir, exports, port, addresses } = read();
  expect({ includedir, port, addresses }).toEqual({
    includedir: `${root}/d`,
    port: 10810,
    addresses: ['10.0.0.1', '::1'],
  });
  expect(exports[0]?.authfile).toBe(`${root}/allow`);
});

it('what nbd-server would not take is a problem with its place', () => {
  const config = write('etc/nbd-server/config', '[generic]\nport = many\nincludedir = /missing\n');
  expect(read().problems).toEqual([
    `${config}: port = many is no port number (1 to 65535)`,
    expect.stringContaining(`${root}/missing: ENOENT`),
  ]);
  write('etc/nbd-server/config', '[generic]\nincludedir = /d\n');
  const conf = write('d/a.conf', '[a]\nexportname /a\n');
  expect(read().problems).toEqual([`${conf}:2: exportname /a`]);
});

it('a machine without nbd-server has no config, and one that cannot be read says why', () => {
  const file = path.join(root, 'etc/nbd-server/config');
  expect(readNbdServer({ root })).toEqual({ kind: 'absent', file });
  fs.mkdirSync(file, { recursive: true });
  expect(readNbdServer({ root })).toEqual({ kind: 'unreadable', file, why: expect.stringContaining('EISDIR') });
});
