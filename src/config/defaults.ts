import type { CompleteSettings } from './schema.ts';
import { volatilePaths } from './volatile-paths.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** What holds where no file says otherwise. config/ltsp-autoimage.toml says the same in words. */
export const defaults: CompleteSettings = {
  base: '/opt/ltsp',
  chroots: [],
  paths: { state: '/var/lib/ltsp-autoimage', run: '/run/ltsp-autoimage' },
  watch: {
    quiet: 5000,
    max_wait: 15 * MINUTE,
    look_every: 5 * MINUTE,
    paths: [],
    ignore: [...volatilePaths],
    poll: 'auto',
  },
  schedule: { nightly: '30 3 * * *', timezone: '', quiet_hours: [], in_quiet_hours: 'build', urgent: [] },
  build: {
    engine: 'auto',
    trust: 'stat',
    dead_limit: 0.15,
    jobs: 1,
    nice: true,
    compression: 'auto',
    level: 0,
    exclude: [],
    excludes_file: '/etc/ltsp/ltsp-update-image.excludes',
    cleanup: 'auto',
    lock: true,
  },
  keep: { backup: true, generations: 3, grace: 7 * DAY },
  check: {
    // What a client needs to come up: init, a shell, users, the loader's directory, and the directories on which the
    // initrd mounts (an exclude of `proc` where `proc/*` was meant leaves an image that does not boot).
    required: ['sbin/init', 'bin/sh', 'etc/passwd', 'lib', 'dev', 'proc', 'sys', 'run'],
    content: 'sample',
    nbd: 'auto',
    boot: 'off',
    boot_allow: [],
    secrets: 'warn',
    boot_chain: 'warn',
    live: 'on',
    live_every: 10 * MINUTE,
    timeout: 10 * MINUTE,
  },
  serve: {
    nbd: 'auto',
    nbd_conf_dir: '/etc/nbd-server/conf.d',
    nbd_authfile: '/etc/ltsp/nbd-server.allow',
    layout: 'auto',
    tftp_dirs: ['/var/lib/tftpboot', '/tftpboot', '/srv/tftp'],
    tftp_boot_dir: 'ltsp',
    mode: 0o640,
    group: 'auto',
  },
  notify: {
    mail: '',
    webhook: '',
    webhook_shape: 'plain',
    token_file: '',
    // a person is not called when all is as it should be
    events: ['rejected', 'reverted', 'quarantined', 'stuck', 'disk-low', 'well-again'],
  },
  chroot: {},
};
