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
  notify: [],
  page: [],
};
