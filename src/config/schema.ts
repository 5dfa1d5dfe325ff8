import * as z from 'zod';
import { NOTICE_KINDS } from './notice-kinds.ts';
import { quietHours } from './quiet-windows.ts';
import {
  absolutePath,
  absolutePathOrNone,
  count,
  directoryBelowRoot,
  duration,
  fileMode,
  fraction,
  groupName,
  list,
  mailAddresses,
  oneOf,
  pathInside,
  pattern,
  text,
  timeZone,
  webAddress,
  yesOrNo,
} from './values.ts';

/** What a section `[chroot.NAME]` may have, table by table. */
const chrootTables = {
  watch: {
    quiet: duration({ least: '0s', most: '1d' }),
    max_wait: duration({ least: '0s', most: '24d' }),
    // a timer of Node holds at most 24.8 days; below 10 ms it would only burn the CPU
    look_every: duration({ least: '10ms', most: '24d' }),
    paths: list(pathInside()),
    ignore: list(pattern()),
    poll: oneOf('auto', 'on', 'off'),
  },
  build: {
    engine: oneOf('auto', 'mksquashfs', 'incremental'),
    trust: oneOf('stat', 'content'),
    dead_limit: fraction(),
    nice: yesOrNo(),
    compression: oneOf('auto', 'gzip', 'zstd', 'lz4', 'xz', 'lzo', 'none'),
    level: count(0, 22),
    exclude: list(pattern()),
    excludes_file: absolutePath(),
    cleanup: z.union([z.literal('auto'), z.boolean()], 'cannot be used (allowed: "auto", true, false)'),
    lock: yesOrNo(),
  },
  keep: {
    backup: yesOrNo(),
    generations: count(0, 1000),
    grace: duration({ least: '0s', most: '3650d' }),
  },
  check: {
    required: list(pathInside()),
    content: oneOf('sample', 'all'),
    nbd: oneOf('auto', 'required', 'off'),
    boot: oneOf('off', 'container', 'vm'),
    boot_allow: list(text('a unit such as "bluetooth.service", or a pattern')),
    secrets: oneOf('warn', 'refuse', 'off'),
    boot_chain: oneOf('warn', 'refuse', 'off'),
    live: oneOf('on', 'strict', 'off'),
    live_every: duration({ least: '1s', most: '24d' }),
    timeout: duration({ least: '1s', most: '24d' }),
  },
  serve: {
    nbd: oneOf('auto', 'on', 'off'),
    nbd_conf_dir: absolutePath(),
    nbd_authfile: absolutePath(),
    layout: oneOf('auto', 'ltsp5', 'ltsp19'),
    tftp_dirs: list(absolutePath()),
    tftp_boot_dir: pathInside(),
    mode: fileMode(),
    group: groupName(),
  },
};

const tables = {
  ...chrootTables,
  paths: { state: directoryBelowRoot(), run: directoryBelowRoot() },
  schedule: {
    nightly: text('a cron expression in quotes, such as "30 3 * * *", or "" for none'),
    timezone: timeZone(),
    quiet_hours: quietHours(),
    in_quiet_hours: oneOf('build', 'wait'),
    urgent: list(text('a package, or a pattern such as "openssl*"')),
  },
  // the queue is one for all chroots
  build: { ...chrootTables.build, jobs: count(1, 64) },
  notify: {
    mail: mailAddresses(),
    webhook: webAddress(),
    webhook_shape: oneOf('plain', 'ntfy', 'matrix', 'slack'),
    token_file: absolutePathOrNone(),
    events: list(oneOf(...NOTICE_KINDS)),
  },
};

const chrootSection = {
  watch: table(chrootTables.watch),
  build: table(chrootTables.build),
  keep: table(chrootTables.keep),
  check: table(chrootTables.check),
  serve: table(chrootTables.serve),
};

const top = {
  base: directoryBelowRoot(),
  chroots: list(absolutePath()),
  paths: table(tables.paths),
  watch: table(tables.watch),
  schedule: table(tables.schedule),
  build: table(tables.build),
  keep: table(tables.keep),
  check: table(tables.check),
  serve: table(tables.serve),
  notify: table(tables.notify),
  page: z.record(z.string(), z.unknown(), 'is no table (allowed: [page])'),
  chroot: z.record(
    z.string().regex(/^(?!\.\.?$)[^/\s]+$/, "is no chroot's name (allowed: the name of a directory)"),
    table(chrootSection),
    'is no table (allowed: sections such as [chroot.amd64.build])',
  ),
};

/** Everything that ltsp-autoimage.toml may say; durations become milliseconds, the mode a number. */
export const settingsSchema = table(top);

/** Settings of one source: only what it sets. */
export type Settings = z.output<typeof settingsSchema>;

type Table<Name extends keyof Settings> = Required<NonNullable<Settings[Name]>>;

/** The tables that can differ from chroot to chroot, complete. */
export type Sections = {
  watch: Table<'watch'>;
  build: Table<'build'>;
  keep: Table<'keep'>;
  check: Table<'check'>;
  serve: Table<'serve'>;
};

/** Settings with every key. */
export type CompleteSettings = Sections & {
  base: string;
  chroots: readonly string[];
  paths: Table<'paths'>;
  schedule: Table<'schedule'>;
  notify: Table<'notify'>;
  chroot: NonNullable<Settings['chroot']>;
};

/**
 * The names allowed in each table, by the table's name: '' is the top, `chroot.*` and `chroot.*.build` are the sections
 * of single chroots.
 */
export const keysOfTables: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(top)],
  ...Object.entries(tables).map(([name, shape]): [string, string[]] => [name, Object.keys(shape)]),
  ['chroot.*', Object.keys(chrootSection)],
  ...Object.entries(chrootTables).map(([name, shape]): [string, string[]] => [`chroot.*.${name}`, Object.keys(shape)]),
]);

type OptionalShape<T extends Record<string, z.ZodType>> = { [Key in keyof T]: z.ZodExactOptional<T[Key]> };

/** A table whose keys are all optional and that has no others. */
function table<T extends Record<string, z.ZodType>>(shape: T) {
  const optional = Object.fromEntries(Object.entries(shape).map(([key, value]) => [key, value.exactOptional()]));
  return z.strictObject(optional as OptionalShape<T>, {
    error: (issue) => (issue.code === 'invalid_type' ? 'is no table (allowed: a section in brackets)' : undefined),
  });
}
