import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { UsageError, UserError } from '../../src/errors.ts';
import { parseKeyFile } from '../../src/serve/nbd/key-file.ts';
import { readNbdServer } from '../../src/serve/nbd/server.ts';
import { excluderOf, readExcludes } from '../../src/tree/excludes.ts';
import { checkCron } from '../../src/watch/schedule.ts';
import { damaged } from './damaged.ts';

/** Whatever stands in a config file: it is taken, or refused in words. */
let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
  for (const directory of ['etc/ltsp', 'etc/nbd-server/conf.d'])
    fs.mkdirSync(path.join(root, directory), { recursive: true });
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const shipped = fs.readFileSync(fileURLToPath(new URL('../../config/ltsp-autoimage.toml', import.meta.url)), 'utf8');

it('the TOML config', () => {
  const uncommented = shipped.replaceAll(/^# ?(?=[\w."]+ = |\[)/gm, '');
  const tokens = [
    '[',
    ']',
    ' = ',
    '"""',
    '[chroot.amd64]',
    '"5s"',
    '2026-01-01',
    '0x',
    "'''",
    '{ a = 1 }',
    '[[a]]',
    '\\u',
  ];
  fc.assert(
    fc.property(damaged([shipped, uncommented, 'chroots = ["/a"]\n[build]\nlevel = 3\n'], tokens), (bytes) => {
      write('etc/ltsp/ltsp-autoimage.toml', bytes);
      expectTakenOr(UsageError, () => loadConfig({ root, checkCron }));
    }),
    { numRuns: 80, endOnFailure: true },
  );
});

it("LTSP's shell config", () => {
  const sample =
    'BASE="/opt/ltsp"\nexport TFTP_DIRS=\'/a /b\' EXCLUDE=$BASE\\ x # why\nNO_COMPRESS=true; CLEANUP="$' + '{BASE}"\n';
  const tokens = ['$', '${', '}', '$(', '`', '#', ';', '&&', 'export ', 'BASE=', '\\\n', '=', '<<E\n', '$BASE$BASE'];
  fc.assert(
    fc.property(damaged([sample], tokens), (bytes) => {
      write('etc/ltsp/ltsp-update-image.conf', bytes);
      expectTakenOr(UsageError, () => loadConfig({ root, checkCron }));
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

it('the excludes', () => {
  const tokens = [
    '*',
    '?',
    '[',
    '[!',
    ']',
    '[a-',
    '(',
    ')',
    '|',
    '!(',
    '+(a|',
    '@(',
    '... ',
    '//',
    '/../',
    '[[:alpha:]]',
  ];
  fc.assert(
    fc.property(damaged(['var/log/*\n... *.tmp\n#x\nhome/[a-z]?\n', 'a/!(b|c)\n'], tokens), (bytes) => {
      // no path is longer than that
      write('excludes', bytes.subarray(0, 4096));
      expectTakenOr(UserError, () => {
        const names = ['var', 'log', '(((', '\\'];
        for (const name of names) excluderOf(readExcludes(path.join(root, 'excludes')).slice(0, 500)).descend(name);
      });
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

it("nbd-server's config", () => {
  const sample = `[generic]\nport = 10809\nallowlist = true\nincludedir = ${'/etc/nbd-server/conf.d'}\n[/opt/ltsp/amd64]\nexportname = /opt/x\n`;
  const tokens = ['[', ']', '[generic]', 'port = ', ' = ', '\\s', '#', 'includedir = ..', 'listenaddr = ::'];
  fc.assert(
    fc.property(damaged([sample], tokens), (bytes) => {
      parseKeyFile(bytes.toString('latin1'));
      parseKeyFile(bytes.toString('utf8'));
      write('etc/nbd-server/config', bytes);
      expect(['configured', 'unreadable', 'absent', 'none']).toContain(readNbdServer({ root }).kind);
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

function write(file: string, bytes: Buffer): void {
  fs.writeFileSync(path.join(root, file), bytes);
}

/** Anything else that is thrown fails the test. */
function expectTakenOr(type: typeof UserError, parse: () => void): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof type)) throw error;
    expect(error.message).not.toBe('');
  }
}
