import path from 'node:path';
import type { ChrootConfig, Config } from './config.ts';
import { freeze } from './load.ts';

/** What a command line says, over all files. Paths are absolute and taken as they are, `--root` or not. */
export type CommandLineSettings = {
  base?: string;
  /** Further chroots. */
  chroots?: readonly string[];
  compression?: ChrootConfig['build']['compression'];
  /** In addition to those of the files. */
  exclude?: readonly string[];
  backup?: boolean;
  cleanup?: boolean;
  /** Whether nbd-server's config gets an export. */
  nbd?: ChrootConfig['serve']['nbd'];
};

/** The config with what the command line says over it, for every chroot; frozen like it. */
export function withCommandLine(config: Config, settings: CommandLineSettings): Config {
  const inEach = (section: ChrootConfig): ChrootConfig => ({
    ...section,
    build: { ...section.build, ...buildOver(section.build, settings) },
    keep: { ...section.keep, ...(settings.backup === undefined ? {} : { backup: settings.backup }) },
    serve: { ...section.serve, ...(settings.nbd === undefined ? {} : { nbd: settings.nbd }) },
  });
  return freeze({
    ...config,
    ...placesOver(config, settings),
    chroots: [...config.chroots, ...(settings.chroots ?? [])],
    defaults: inEach(config.defaults),
    chroot: new Map([...config.chroot].map(([name, section]) => [name, inEach(section)])),
  });
}

function buildOver(
  build: ChrootConfig['build'],
  { compression, exclude = [], cleanup }: CommandLineSettings,
): Partial<ChrootConfig['build']> {
  const excludes = {
    exclude: [...new Set([...build.exclude, ...exclude])],
    ...(cleanup === undefined ? {} : { cleanup }),
  };
  // a level is meant for the compressor it was configured with
  return compression === undefined || compression === build.compression
    ? excludes
    : { ...excludes, compression, level: 0 };
}

/**
 * Another base directory has its images, its lock and its journals to itself: a daemon that finds a journal of work in
 * another base among its own would undo it in its own images.
 */
function placesOver(config: Config, { base }: CommandLineSettings): Pick<Config, 'base' | 'paths'> {
  if (base === undefined || base === config.base) return config;
  const images = path.join(base, 'images');
  const paths = { ...config.paths, images, lock: path.join(images, '.lock'), state: path.join(images, '.state') };
  return { base, paths };
}
