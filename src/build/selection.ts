import fs from 'node:fs';
import path from 'node:path';
import type { Chroot } from '../chroot/chroot.ts';
import { foreignMounts } from '../chroot/mounts.ts';
import type { ChrootConfig, Config } from '../config/config.ts';
import { excludePatternOf, readExcludes } from '../tree/excludes.ts';

/** What of a chroot goes into its image, as patterns of mksquashfs -wildcards (one char per byte). */
export type Selection = {
  excludePatterns: readonly string[];
  ignorePatterns: readonly string[];
};

/**
 * Everything in the chroot but what the admin excludes, what other file systems show below it (proc, sysfs, network and
 * temporary ones), and what is ours: images and chroots of the base directory, TFTP directories, our state. The
 * directories themselves stay in, empty, so that a client can mount on them.
 */
export function selectionOf(config: Config, settings: ChrootConfig, chroot: Chroot): Selection {
  const { build, watch, serve } = settings;
  const own = [
    config.base,
    ...config.chroots,
    config.paths.images,
    config.paths.state,
    config.paths.run,
    ...serve.tftpDirs,
  ];
  const named = new Set(own.flatMap((file) => [file, realPath(file)]));
  const emptied = [...[...named].flatMap((file) => below(chroot.path, file)), ...foreignMounts(chroot.path)];
  return {
    excludePatterns: [
      ...readExcludes(build.excludesFile),
      ...build.exclude.map(toBytes),
      ...emptied.flatMap(contentPatterns),
    ],
    ignorePatterns: watch.ignore.map(toBytes),
  };
}

/** `file` relative to the chroot as a byte string, when it lies inside. */
function below(chroot: string, file: string): string[] {
  const relative = path.relative(chroot, file);
  return relative === '' || relative === '..' || relative.startsWith('../') ? [] : [toBytes(relative)];
}

/** A base directory may be a symlink to a larger disk: what it leads to is to be left out, too. */
function realPath(file: string): string {
  try {
    return fs.realpathSync(file);
  } catch {
    // what is not there needs not be left out
    return file;
  }
}

/** All that a directory holds, hidden names too: `*` does not match a leading dot. */
function contentPatterns(directory: string): string[] {
  const pattern = excludePatternOf(directory);
  return [`${pattern}/*`, `${pattern}/.*`];
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
