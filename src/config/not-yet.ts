/**
 * Keys whose feature this version does not have yet, each with the values that ask for nothing it lacks. A feature that
 * arrives deletes its line.
 */
export const notYet: Readonly<Record<string, readonly unknown[]>> = {
  'schedule.quiet_hours': [''],
  'schedule.in_quiet_hours': ['build'],
  'build.engine': ['auto', 'mksquashfs'],
  'build.trust': ['stat'],
  'build.dead_limit': [0.15],
  'build.cleanup': ['auto', false],
  'check.content': ['sample'],
  'check.nbd': ['auto'],
  'check.boot': ['off'],
  'check.secrets': ['warn'],
  'check.boot_chain': ['warn'],
  'check.live': ['on'],
  'check.live_every': ['10m'],
  'serve.nbd': ['auto'],
  'serve.nbd_conf_dir': ['/etc/nbd-server/conf.d'],
  'serve.nbd_authfile': ['/etc/ltsp/nbd-server.allow'],
  'serve.layout': ['auto'],
  'serve.tftp_boot_dir': ['ltsp'],
  notify: [],
  page: [],
};
