import type { CompleteSettings, Sections, Settings } from './schema.ts';

/** Settings with those of a source that counts more laid over them. Lists of excludes add up, all else is replaced. */
export function overlay(below: CompleteSettings, above: Settings): CompleteSettings {
  return {
    ...overlaySections(below, above),
    base: above.base ?? below.base,
    chroots: above.chroots ?? below.chroots,
    paths: { ...below.paths, ...above.paths },
    schedule: { ...below.schedule, ...above.schedule },
    notify: { ...below.notify, ...above.notify },
    chroot: { ...below.chroot, ...above.chroot },
  };
}

/** The same for the tables that a section `[chroot.NAME]` may have. */
export function overlaySections(
  below: Sections,
  above: Pick<Settings, 'watch' | 'build' | 'keep' | 'check' | 'serve'>,
): Sections {
  return {
    watch: { ...below.watch, ...above.watch },
    build: {
      ...below.build,
      ...above.build,
      exclude: [...new Set([...below.build.exclude, ...(above.build?.exclude ?? [])])],
    },
    keep: { ...below.keep, ...above.keep },
    check: { ...below.check, ...above.check },
    serve: { ...below.serve, ...above.serve },
  };
}
