import type { ChrootConfig, Config } from './config.ts';
import { durationText } from './values.ts';

type Value = string | number | boolean | readonly string[];
type Lines = readonly (readonly [key: string, value: Value])[];

/**
 * The config in force as TOML that means the same when it is read again under the same `--root`: all keys of this version
 * with their values, paths without the root.
 */
export function describeConfig(config: Config): string {
  const seen = (file: string): string => withoutRoot(config.root, file);
  const head = config.root === '' ? [] : [`# paths are below --root=${config.root}`];
  const parts = [
    [
      '# the configuration in force, read from these files as far as they exist:',
      ...config.files.map((file) => `#   ${file.replaceAll(/[\p{Cc}]/gu, '?')}`),
      ...head,
    ].join('\n'),
    lines([
      ['base', seen(config.base)],
      ['chroots', config.chroots.map(seen)],
    ]),
    table('paths', [
      ['state', seen(config.paths.state)],
      ['run', seen(config.paths.run)],
    ]),
    table('schedule', [
      ['nightly', config.schedule.nightly],
      ['timezone', config.schedule.timezone],
      ['quiet_hours', config.schedule.quietHours.map(({ text }) => text).join(', ')],
      ['in_quiet_hours', config.schedule.inQuietHours],
      ['urgent', config.schedule.urgent],
    ]),
    ...sections('', config.defaults, seen, [['jobs', config.jobs]]),
    table('notify', [
      ['mail', config.notify.mail],
      ['webhook', config.notify.webhook],
      ['webhook_shape', config.notify.webhookShape],
      ['token_file', config.notify.tokenFile === '' ? '' : seen(config.notify.tokenFile)],
      ['events', config.notify.events],
    ]),
    ...[...config.chroot].flatMap(([name, settings]) => sections(`chroot.${quote(name)}.`, settings, seen, [])),
  ];
  return `${parts.join('\n\n')}\n`;
}

function sections(
  prefix: string,
  { watch, build, keep, check, serve }: ChrootConfig,
  seen: (file: string) => string,
  moreOfBuild: Lines,
): string[] {
  return [
    table(`${prefix}watch`, [
      ['quiet', durationText(watch.quiet)],
      ['max_wait', durationText(watch.maxWait)],
      ['look_every', durationText(watch.lookEvery)],
      ['paths', watch.paths],
      ['ignore', watch.ignore],
      ['poll', watch.poll],
    ]),
    table(`${prefix}build`, [
      ...moreOfBuild,
      ['engine', build.engine],
      ['trust', build.trust],
      ['dead_limit', build.deadLimit],
      ['nice', build.nice],
      ['compression', build.compression],
      ['level', build.level],
      ['exclude', build.exclude],
      ['excludes_file', seen(build.excludesFile)],
      ['cleanup', build.cleanup],
      ['lock', build.lock],
    ]),
    table(`${prefix}keep`, [
      ['backup', keep.backup],
      ['generations', keep.generations],
      ['grace', durationText(keep.grace)],
    ]),
    table(`${prefix}check`, [
      ['required', check.required],
      ['secrets', check.secrets],
      ['boot_chain', check.bootChain],
      ['content', check.content],
      ['nbd', check.nbd],
      ['boot', check.boot],
      ['boot_allow', check.bootAllow],
      ['live', check.live],
      ['live_every', durationText(check.liveEvery)],
      ['timeout', durationText(check.timeout)],
    ]),
    table(`${prefix}serve`, [
      ['nbd', serve.nbd],
      ['nbd_conf_dir', seen(serve.nbdConfDir)],
      ['nbd_authfile', seen(serve.nbdAuthfile)],
      ['layout', serve.layout],
      ['tftp_dirs', serve.tftpDirs.map(seen)],
      ['tftp_boot_dir', serve.tftpBootDir],
      ['mode', serve.mode.toString(8).padStart(4, '0')],
      ['group', serve.group],
    ]),
  ];
}

function table(name: string, content: Lines): string {
  return `[${name}]\n${lines(content)}`;
}

function lines(content: Lines): string {
  return content.map(([key, value]) => `${key} = ${valueText(value)}`).join('\n');
}

function valueText(value: Value): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value.length <= 3) return `[${value.map(quote).join(', ')}]`;
  return `[\n${value.map((one) => `  ${quote(one)},\n`).join('')}]`;
}

/** JSON's escapes are TOML's too; TOML wants DEL escaped as well. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll('\x7f', '\\u007f');
}

function withoutRoot(root: string, file: string): string {
  if (root === '' || (file !== root && !file.startsWith(`${root}/`))) return file;
  return file.slice(root.length) || '/';
}
