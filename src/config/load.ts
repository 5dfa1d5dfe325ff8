import fs from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors.ts';
import type { ChrootConfig, Config } from './config.ts';
import { defaults } from './defaults.ts';
import { overlay, overlaySections } from './layers.ts';
import { readLtspVariables, settingsOfLtsp } from './ltsp.ts';
import { validate, valueProblem } from './problems.ts';
import { readConfigFile } from './read-file.ts';
import type { CompleteSettings, Sections } from './schema.ts';
import { type KeyPath, parseToml, type TomlDocument } from './toml.ts';

export type LoadOptions = {
  /** `--root=DIR`: every path of the config is below it. */
  root?: string;
  /** `--config=FILE`, taken as it is; it must exist. */
  file?: string;
  /** What is wrong with a cron expression in a time zone, or undefined. */
  checkCron: (expression: string, timezone: string) => string | undefined;
};

/**
 * The config in force: defaults, LTSP's files over them, our own file over those; lists of excludes add up.
 * @throws UsageError with every problem on a line of its own, `FILE:LINE: what is wrong (what is allowed)`
 */
export function loadConfig(options: LoadOptions): Config {
  const root = withoutSlash(options.root === undefined || options.root === '' ? '' : path.resolve(options.root));
  const file = options.file ?? path.join(root, '/etc/ltsp/ltsp-autoimage.toml');
  const text = readConfigFile(file);
  if (text === undefined && options.file !== undefined) {
    throw new UsageError(`cannot read ${file}: it does not exist (name an existing file with --config)`);
  }
  const ltsp = readLtspVariables(root);
  const fromLtsp = settingsOfLtsp(ltsp.variables);
  const document = parseToml(text ?? '', file);
  const own = validate(document);
  refuse([...fromLtsp.problems, ...own.problems]);

  const start = { ...defaults, base: defaultBase(root) };
  const settings = overlay(overlay(start, fromLtsp.settings), own.settings);
  refuse([...cronProblems(settings, document, options.checkCron), ...levelProblems(settings, document)]);
  return freeze(configOf(settings, root, [...ltsp.files, file]));
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new UsageError(problems.join('\n'));
}

/** LTSP 19 and later have /srv/ltsp. */
function defaultBase(root: string): string {
  const later = '/srv/ltsp';
  return fs.existsSync(path.join(root, later)) && !fs.existsSync(path.join(root, defaults.base))
    ? later
    : defaults.base;
}

function cronProblems(
  { schedule: { nightly, timezone } }: CompleteSettings,
  document: TomlDocument,
  checkCron: LoadOptions['checkCron'],
): string[] {
  // the default needs no check, and a check loads what knows all time zones
  const isDefault = nightly === defaults.schedule.nightly && timezone === defaults.schedule.timezone;
  const problem = nightly === '' || isDefault ? undefined : checkCron(nightly, timezone);
  if (problem === undefined) return [];
  const allowed = 'allowed: minute hour day month weekday, such as "30 3 * * *", or "" for none';
  return [valueProblem(document, ['schedule', 'nightly'], `is no cron expression: ${problem} (${allowed})`)];
}

/** gzip and lzo know nine levels, zstd 22; the level of a chroot may meet the compression of all, and the other way round. */
function levelProblems(settings: CompleteSettings, document: TomlDocument): string[] {
  const scopes: [KeyPath, Sections][] = [
    [[], settings],
    ...Object.entries(settings.chroot).map(([name, section]): [KeyPath, Sections] => [
      ['chroot', name],
      overlaySections(settings, section),
    ]),
  ];
  return scopes.flatMap(([scope, { build }]) => {
    if (build.level <= 9 || (build.compression !== 'gzip' && build.compression !== 'lzo')) return [];
    const own = [...scope, 'build', 'level'];
    const path = document.written(own) === '' ? ['build', 'level'] : own;
    return [valueProblem(document, path, `is too high for ${build.compression} (allowed: 0 to 9)`)];
  });
}

function configOf(settings: CompleteSettings, root: string, files: readonly string[]): Config {
  const under = (file: string): string => withoutSlash(path.join(root, path.resolve(file))) || '/';
  const base = under(settings.base);
  const images = path.join(base, 'images');
  const run = under(settings.paths.run);
  const general = chrootConfig(settings, under);
  const chroot = new Map(
    Object.entries(settings.chroot).map(([name, section]) => [
      name,
      chrootConfig(overlaySections(settings, section), under),
    ]),
  );
  const excludes = [general, ...chroot.values()].map(({ build }) => build.excludesFile);
  return {
    root,
    base,
    chroots: settings.chroots.map(under),
    paths: {
      images,
      state: under(settings.paths.state),
      run,
      control: path.join(run, 'control.sock'),
      trigger: path.join(run, 'trigger'),
      lock: path.join(images, '.lock'),
    },
    schedule: {
      nightly: settings.schedule.nightly,
      timezone: settings.schedule.timezone,
      quietHours: settings.schedule.quiet_hours,
      inQuietHours: settings.schedule.in_quiet_hours,
      urgent: settings.schedule.urgent,
    },
    notify: {
      mail: settings.notify.mail,
      webhook: settings.notify.webhook,
      webhookShape: settings.notify.webhook_shape,
      tokenFile: settings.notify.token_file === '' ? '' : under(settings.notify.token_file),
      events: settings.notify.events,
    },
    jobs: settings.build.jobs,
    defaults: general,
    chroot,
    files: [...new Set([...files, ...excludes])],
  };
}

function chrootConfig({ watch, build, keep, check, serve }: Sections, under: (file: string) => string): ChrootConfig {
  return {
    watch: {
      quiet: watch.quiet,
      maxWait: watch.max_wait,
      lookEvery: watch.look_every,
      paths: watch.paths,
      ignore: watch.ignore,
      poll: watch.poll,
    },
    build: {
      engine: build.engine,
      trust: build.trust,
      deadLimit: build.dead_limit,
      compression: build.compression,
      level: build.level,
      exclude: build.exclude,
      excludesFile: under(build.excludes_file),
      cleanup: build.cleanup,
      lock: build.lock,
      nice: build.nice,
    },
    keep: { backup: keep.backup, generations: keep.generations, grace: keep.grace },
    check: {
      required: check.required,
      secrets: check.secrets,
      bootChain: check.boot_chain,
      content: check.content,
      nbd: check.nbd,
      boot: check.boot,
      bootAllow: check.boot_allow,
      live: check.live,
      liveEvery: check.live_every,
      timeout: check.timeout,
    },
    serve: {
      nbd: serve.nbd,
      nbdConfDir: under(serve.nbd_conf_dir),
      nbdAuthfile: under(serve.nbd_authfile),
      layout: serve.layout,
      tftpDirs: serve.tftp_dirs.map(under),
      tftpBootDir: serve.tftp_boot_dir,
      mode: serve.mode,
      group: serve.group,
    },
  };
}

function withoutSlash(directory: string): string {
  return directory.replace(/\/+$/, '');
}

/** Freezes a value and all it holds. A Map has no frozen form: its values are frozen, and its type has no `set`. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of value instanceof Map ? value.values() : Object.values(value)) freeze(inner);
  return value;
}
