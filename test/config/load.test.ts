import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { configOf } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { keysOfTables } from '../../src/config/schema.ts';
import { UsageError } from '../../src/errors.ts';
import { siteWith } from './site.ts';

const TOML = '/etc/ltsp/ltsp-autoimage.toml';
const SERVER = '/etc/ltsp/ltsp-server.conf';
const UPDATE = '/etc/ltsp/ltsp-update-image.conf';
const UPDATE_D = '/etc/ltsp/ltsp-update-image.conf.d';

const checkCron = (expression: string, timezone: string): string | undefined =>
  expression.split(' ').length === 5 ? undefined : `${expression} has no five fields (${timezone})`;

function load(files: Record<string, string>): Config {
  return loadConfig({ root: siteWith(files), checkCron });
}

/** The lines of the error, with the root taken out of them. */
function problemsOf(files: Record<string, string>): string[] {
  const root = siteWith(files);
  try {
    loadConfig({ root, checkCron });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message.replaceAll(root, '').split('\n');
  }
  return [];
}

describe('precedence', () => {
  test('without any file the defaults hold', () => {
    const root = siteWith({});
    const config = loadConfig({ root, checkCron });
    expect(config).toMatchObject({ root, base: `${root}/opt/ltsp`, chroots: [], jobs: 1 });
    expect(config.schedule).toMatchObject({
      nightly: '30 3 * * *',
      timezone: '',
      quietHours: [],
      inQuietHours: 'build',
    });
    expect(config.notify).toMatchObject({ mail: '', webhook: '', tokenFile: '' });
    expect(config.defaults).toMatchObject({
      watch: { quiet: 5000, maxWait: 900_000, lookEvery: 300_000, poll: 'auto' },
      build: { compression: 'auto', level: 0, exclude: [], lock: true, nice: true },
      keep: { backup: true, generations: 3, grace: 604_800_000 },
      check: { timeout: 600_000 },
      serve: { mode: 0o640, group: 'auto' },
    });
    expect(config.defaults.check.required).toContain('sbin/init');
  });

  test('each later file overrides the earlier ones, and ours only with the keys in it', () => {
    const conf = {
      [SERVER]: 'BASE=/a\nTFTP_DIRS="/t1 /t2"\nCOMPRESSION=gzip',
      [UPDATE]: 'COMPRESSION=xz\nNO_BACKUP=true\n',
      [`${UPDATE_D}/20-b`]: 'COMPRESSION=lz4',
      [`${UPDATE_D}/10-a`]: 'COMPRESSION=lzo\nNO_BACKUP=false',
      [`${UPDATE_D}/30.bak`]: 'this is not read',
    };
    const ltsp = load(conf);
    expect(ltsp.base).toBe(`${ltsp.root}/a`);
    expect(ltsp.defaults).toMatchObject({
      build: { compression: 'lz4' },
      keep: { backup: true },
      serve: { tftpDirs: [`${ltsp.root}/t1`, `${ltsp.root}/t2`] },
    });
    const own = load({ ...conf, [TOML]: 'base = "/b"\n[build]\nlevel = 3' });
    expect(own.base).toBe(`${own.root}/b`);
    expect(own.defaults.build).toMatchObject({ compression: 'lz4', level: 3 });
  });

  test('lists of excludes add up, other lists are replaced', () => {
    const config = load({
      [UPDATE]: 'EXCLUDE="usr/src,  usr/share/doc\n usr/games"\nEXCLUDED_MOUNTS="/home /"',
      [TOML]:
        '[build]\nexclude = ["usr/games", "opt"]\n[watch]\nignore = ["x"]\n' +
        '[chroot.a]\nbuild.exclude = ["srv"]\nwatch.ignore = ["y"]',
    });
    const general = ['usr/src', 'usr/share/doc', 'usr/games', 'home/*', 'home/.*', 'opt'];
    expect(config.defaults.build.exclude).toEqual(general);
    expect(configOf(config, 'a').build.exclude).toEqual([...general, 'srv']);
    expect(config.defaults.watch.ignore).toEqual(['x']);
    expect(configOf(config, 'a').watch.ignore).toEqual(['y']);
  });

  test('a section of a chroot overrides single keys for that chroot alone', () => {
    const config = load({
      [TOML]:
        '[watch]\nquiet = "1s"\npoll = "on"\n[chroot."fat.x".watch]\nquiet = "500ms"\n[chroot."fat.x".keep]\nbackup = false',
    });
    expect(configOf(config, 'fat.x')).toMatchObject({ watch: { quiet: 500, poll: 'on' }, keep: { backup: false } });
    expect(configOf(config, 'other')).toMatchObject({ watch: { quiet: 1000, poll: 'on' }, keep: { backup: true } });
  });

  test('/srv/ltsp is the base where only that exists', () => {
    const both = load({ '/srv/ltsp/x': '', '/opt/ltsp/x': '' });
    expect(both.base).toBe(`${both.root}/opt/ltsp`);
    const later = load({ '/srv/ltsp/x': '' });
    expect(later.base).toBe(`${later.root}/srv/ltsp`);
    const named = load({ '/srv/ltsp/x': '', [SERVER]: 'BASE=/opt/ltsp' });
    expect(named.base).toBe(`${named.root}/opt/ltsp`);
  });
});

describe("LTSP's variables", () => {
  test.each<[string, object]>([
    ['NO_COMPRESS=true', { build: { compression: 'none' } }],
    ['COMPRESSION=xz\nNO_COMPRESS=True', { build: { compression: 'none' } }],
    ['COMPRESSION=xz\nNO_COMPRESS=false', { build: { compression: 'xz' } }],
    ['COMPRESSION=""', { build: { compression: 'auto' } }],
    ['NO_BACKUP=true', { keep: { backup: false } }],
    ['CLEANUP=true', { build: { cleanup: true } }],
    ['CLEANUP=false', { build: { cleanup: false } }],
    ['CONFIG_NBD=true', { serve: { nbd: 'on' } }],
    ['CONFIG_NBD=false', { serve: { nbd: 'off' } }],
    ['TFTP_BOOT_DIR=other', { serve: { tftpBootDir: 'other' } }],
    ['REVERT=true', {}],
    ['SERVER=1.2.3.4 NFS_HOME=x', {}],
  ])('%j', (text, expected) => {
    expect(load({ [UPDATE]: text }).defaults).toMatchObject(expected);
    if (Object.keys(expected).length === 0) {
      const config = load({ [UPDATE]: text });
      const plain = load({});
      const withoutRoot = (one: Config): unknown => JSON.parse(JSON.stringify(one).replaceAll(one.root, ''));
      expect(withoutRoot(config)).toEqual(withoutRoot(plain));
    }
  });

  test('a later file may refer to names of an earlier one', () => {
    const config = load({ [SERVER]: 'TOP=/data', [UPDATE]: 'BASE="$TOP/ltsp/"' });
    expect(config.base).toBe(`${config.root}/data/ltsp`);
  });

  test('bad values are named with file and line, all of them', () => {
    expect(
      problemsOf({
        [SERVER]: '#\nBASE=opt/ltsp\nTFTP_DIRS="/a b"',
        [UPDATE]: 'COMPRESSION=brotli\nNO_BACKUP=perhaps',
        [TOML]: 'base = 1',
      }),
    ).toEqual([
      `${SERVER}:2: BASE = "opt/ltsp" is no directory of its own (allowed: an absolute path other than "/")`,
      `${SERVER}:3: TFTP_DIRS = "/a b" is no path (allowed: an absolute one, which begins with "/")`,
      `${UPDATE}:1: COMPRESSION = "brotli" cannot be used (allowed: "auto", "gzip", "zstd", "lz4", "xz", "lzo")`,
      `${UPDATE}:2: NO_BACKUP = "perhaps" cannot be used (allowed: true, false)`,
      `${TOML}:1: base = 1 is no directory of its own (allowed: an absolute path other than "/")`,
    ]);
  });

  test('a file that would run something is refused', () => {
    expect(problemsOf({ [SERVER]: '#\n\nBASE=$(id)' })[0]).toMatch(`${SERVER}:3: $( would run a command`);
  });
});

describe('mistakes in our own file', () => {
  test.each<[string, string]>([
    ['bsae = "/x"', ':1: unknown key bsae (did you mean base?)'],
    ['\nquiet = "5s"', ':2: unknown key quiet (did you mean watch.quiet?)'],
    ['[watch]\nquite = "5s"', ':2: unknown key watch.quite (did you mean watch.quiet?)'],
    ['[paths]\nfoo = 1', ':2: unknown key paths.foo (allowed in [paths]: state, run)'],
    ['[chroot.a]\nquiet = "1s"', ':2: unknown key chroot.a.quiet (did you mean chroot.a.watch.quiet?)'],
    ['[chroot.a.build]\njobs = 2', ':2: unknown key chroot.a.build.jobs (did you mean build.jobs?)'],
    [
      '[chroot."x.y".keep]\nbackups = true',
      ':2: unknown key chroot."x.y".keep.backups (did you mean chroot."x.y".keep.backup?)',
    ],
    ['[chroot."a/b"]', ':1: chroot."a/b" is no chroot\'s name (allowed: the name of a directory)'],
    ['watch = 1', ':1: watch = 1 is no table (allowed: a section in brackets)'],
    [
      '[watch]\nquiet = 5',
      ':2: watch.quiet = 5 is no duration (allowed: "0s" to "1d", as a whole number with ms, s, m, h or d)',
    ],
    ['[watch]\nlook_every = "25d"', ':2: watch.look_every = "25d" is no duration (allowed: "10ms" to "24d"'],
    ['[watch]\npaths = [\n"a",\n"/b",\n]', ':4: watch.paths[1] = "/b" is no path inside the chroot'],
    ['[build]\njobs = 0', ':2: build.jobs = 0 cannot be used (allowed: a whole number from 1 to 64)'],
    ['[keep]\nbackup = [1, 2]', ':2: keep.backup = [1, 2] cannot be used (allowed: true, false)'],
    ['[build]\njobs = 1.5', ':2: build.jobs = 1.5 cannot be used'],
    ['[build]\nlevel = 23', ':2: build.level = 23 cannot be used (allowed: a whole number from 0 to 22)'],
    ['[build]\nnice = "yes"', ':2: build.nice = "yes" cannot be used (allowed: true, false)'],
    ['[build]\nexclude = "x"', ':2: build.exclude = "x" is no list (allowed: values in brackets'],
    ['[build]\ncompression = "gz"', ':2: build.compression = "gz" cannot be used (allowed: "auto", "gzip", "zstd"'],
    ['[build]\ncompression = "gzip"\nlevel = 15', ':3: build.level = 15 is too high for gzip (allowed: 0 to 9)'],
    ['[build]\nlevel = 15\n[chroot.a]\nbuild.compression = "lzo"', ':2: build.level = 15 is too high for lzo'],
    ['[serve]\nmode = 640', ':2: serve.mode = 640 is no mode of an image file (allowed: "0600", "0640"'],
    ['[serve]\ngroup = "a b"', ':2: serve.group = "a b" is no group (allowed: "auto", a group name'],
    [
      '[schedule]\nnightly = "at noon"',
      ':2: schedule.nightly = "at noon" is no cron expression: at noon has no five fields',
    ],
    ['[schedule]\ntimezone = "Mars"', ':2: schedule.timezone = "Mars" is no time zone (allowed: a name such as'],
    ['[schedule]\nquiet_hours = "8-16"', ':2: schedule.quiet_hours = "8-16" are no quiet hours (allowed: "Mon-Fri 08'],
    ['[notify]\nmail = "a b"', ':2: notify.mail = "a b" is no mail address (allowed: such as "admin@example.org"'],
    ['[notify]\nmail = "a\\nBcc: b"', ':2: notify.mail = "a\\nBcc: b" is no mail address'],
    ['[notify]\nevents = ["publish"]', ':2: notify.events[0] = "publish" cannot be used (allowed: "published", "rejec'],
    ['[notify]\nwebhook_shape = "irc"', ':2: notify.webhook_shape = "irc" cannot be used (allowed: "plain", "ntfy"'],
    [
      '[notify]\ntoken_file = "token"',
      ':2: notify.token_file = "token" is no path (allowed: an absolute one, which begins with "/", or',
    ],
    ['a = 1\na = 2', ':2: not valid TOML: '],
  ])('%j', (text, message) => {
    const problems = problemsOf({ [TOML]: text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(TOML + message);
  });

  test('every problem is listed, in the order of the file', () => {
    const text = 'x = 1\n[watch]\nquiet = 1\npoll = 2\n[build]\nengine = "other"\n[serve]\nmode = ""\n';
    const lines = problemsOf({ [TOML]: text }).map((problem) => /:(\d+): /.exec(problem)?.[1]);
    expect(lines).toEqual(['1', '3', '4', '6', '8']);
  });

  test.each(['ftp://x/5ecret', 'https://user:5ecret@x/', '//x/5ecret', '5ecret'])(
    'a webhook of %j is refused, without telling the log what may be a secret',
    (address) => {
      const problems = problemsOf({ [TOML]: `[notify]\nwebhook = "${address}"` });
      const allowed = 'allowed: one with http:// or https:// and without a password, or "" for none';
      expect(problems.map((line) => line.replace(/^[^:]*:/, ''))).toEqual([
        `2: notify.webhook is no web address (${allowed})`,
      ]);
    },
  );

  test('an expression of "" is no schedule and is not asked about', () => {
    expect(load({ [TOML]: '[schedule]\nnightly = ""' }).schedule.nightly).toBe('');
  });
});

describe('what this version does not have yet', () => {
  test.each<[string, string]>([['[page]\nport = 80', 'page is not available in this version (leave it out)']])(
    '%j',
    (text, message) => {
      expect(problemsOf({ [TOML]: text }).map((line) => line.replace(/^[^:]*:\d+: /, ''))).toEqual([message]);
    },
  );

  test('is accepted with its default', () => {
    const text =
      '[build]\nengine = "mksquashfs"\ncleanup = false\ntrust = "stat"\n[check]\nlive_every = "10m"\n[page]\n[chroot.a.serve]\nnbd = "auto"';
    expect(problemsOf({ [TOML]: text })).toEqual([]);
  });
});

describe('--root', () => {
  test('every path is below it', () => {
    const config = load({
      [TOML]:
        'base = "/data/ltsp/"\nchroots = ["/", "/other/../x/"]\n[paths]\nstate = "/s"\nrun = "/r"\n' +
        '[build]\nexcludes_file = "/e"\n[serve]\ntftp_dirs = ["/t"]\n[chroot.a.build]\nexcludes_file = "/ea"',
    });
    const { root } = config;
    expect(config).toMatchObject({
      base: `${root}/data/ltsp`,
      chroots: [root, `${root}/x`],
      paths: {
        images: `${root}/data/ltsp/images`,
        lock: `${root}/data/ltsp/images/.lock`,
        state: `${root}/s`,
        run: `${root}/r`,
        control: `${root}/r/control.sock`,
        trigger: `${root}/r/trigger`,
      },
    });
    expect(config.defaults.build.excludesFile).toBe(`${root}/e`);
    expect(config.defaults.serve.tftpDirs).toEqual([`${root}/t`]);
    expect(config.files).toEqual([SERVER, UPDATE, UPDATE_D, TOML, '/e', '/ea'].map((file) => path.join(root, file)));
  });

  test('without it paths are what they are, and / is /', () => {
    const root = siteWith({ '/x.toml': 'base = "/data"\nchroots = ["/"]' });
    const config = loadConfig({ file: path.join(root, 'x.toml'), checkCron });
    expect(config).toMatchObject({
      root: '',
      base: '/data',
      chroots: ['/'],
      paths: { state: '/var/lib/ltsp-autoimage' },
    });
    expect(config.files).toContain(path.join(root, 'x.toml'));
    expect(loadConfig({ root: '/', file: path.join(root, 'x.toml'), checkCron })).toMatchObject({
      root: '',
      chroots: ['/'],
    });
  });

  test('a file named explicitly is not looked for below it', () => {
    const root = siteWith({ [TOML]: 'base = "/wrong"' });
    const other = siteWith({ '/x.toml': 'base = "/right"' });
    expect(loadConfig({ root, file: path.join(other, 'x.toml'), checkCron }).base).toBe(`${root}/right`);
  });
});

describe('files', () => {
  test('one that is named explicitly must exist', () => {
    const file = path.join(siteWith({}), 'none.toml');
    expect(() => loadConfig({ file, checkCron })).toThrow(UsageError);
    expect(() => loadConfig({ file, checkCron })).toThrow(`cannot read ${file}: it does not exist`);
  });

  test.each([TOML, SERVER, UPDATE])('a directory in the place of %s is an error with what to do', (name) => {
    const root = siteWith({});
    fs.mkdirSync(path.join(root, name), { recursive: true });
    expect(() => loadConfig({ root, checkCron })).toThrow(UsageError);
    expect(() => loadConfig({ root, checkCron })).toThrow(`cannot read ${root}${name}: it is a directory`);
  });

  test('a file in the place of the directory of fragments is an error', () => {
    expect(problemsOf({ [UPDATE_D]: '' })[0]).toContain(`cannot read ${UPDATE_D}: it is no directory`);
  });

  test('all of them are listed, also those that do not exist', () => {
    const config = load({ [`${UPDATE_D}/a`]: '' });
    expect(config.files.map((file) => file.slice(config.root.length))).toEqual([
      SERVER,
      UPDATE,
      `${UPDATE_D}/a`,
      UPDATE_D,
      TOML,
      '/etc/ltsp/ltsp-update-image.excludes',
    ]);
  });
});

test('the config is frozen all the way down', () => {
  const config = load({ [TOML]: 'chroots = ["/"]\n[chroot.a.build]\nexclude = ["x"]' });
  const open: string[] = [];
  const visit = (value: unknown, where: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) open.push(where);
    const inner = value instanceof Map ? [...value] : Object.entries(value);
    for (const [key, one] of inner) visit(one, `${where}.${key}`);
  };
  visit(config, 'config');
  expect(open).toEqual([]);
});

const anyKey = fc.constantFrom(
  ...[...keysOfTables].flatMap(([table, keys]) => keys.map((key) => [table, key].filter(Boolean).join('.'))),
);
const anyValue = fc.constantFrom(
  '1',
  '"5s"',
  '"/x"',
  'true',
  '["a"]',
  '[1]',
  '{}',
  '{ a = 1 }',
  '1.5',
  '1979-05-27',
  '"auto"',
);

test('whatever the keys hold: a config, or problems with file and line', () => {
  const root = siteWith({ [TOML]: '' });
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(anyKey, anyValue), { maxLength: 4, selector: ([key]) => key }), (pairs) => {
      const text = pairs.map(([key, value]) => `${key.replace('*', 'name')} = ${value}\n`).join('');
      fs.writeFileSync(path.join(root, TOML), text);
      try {
        expect(loadConfig({ root, checkCron }).root).toBe(root);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        const lines = error instanceof UsageError ? error.message.split('\n') : [];
        expect(lines.filter((line) => !/^\/.*:\d+: .*(\(.+\)|twice)$/.test(line))).toEqual([]);
      }
    }),
    { numRuns: 1000 },
  );
});
