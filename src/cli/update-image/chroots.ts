import fs from 'node:fs';
import path from 'node:path';
import type { Chroot } from '../../chroot/chroot.ts';
import { discover } from '../../chroot/discover.ts';
import { withCommandLine } from '../../config/command-line.ts';
import type { Config } from '../../config/config.ts';
import { UserError } from '../../errors.ts';
import { run } from '../../system/processes.ts';
import type { Chosen } from './options.ts';

/** The chroots that are meant, each once, and the config in which all of them are chroots. */
export type Selected = {
  chroots: readonly Chroot[];
  config: Config;
  /** Paths of those that the files do not make chroots: outside the base directory, or deeper in it. */
  further: readonly string[];
};

/**
 * Finds the chroots that are meant.
 * @throws UserError in LTSP 5's words when one of them is not there
 */
export async function selectChroots(config: Config, chosen: Chosen): Promise<Selected> {
  const { chroots, problems } = await discover(config);
  if (chosen.kind === 'all') {
    if (chroots.length === 0) throw new UserError(`No chroots found in ${config.base}`);
    return { chroots, config, further: [] };
  }
  if (chosen.kind === 'host') return { chroots: [await chrootOfHost(config, chroots)], config, further: [] };

  const directories = [...new Set(chosen.operands.map((operand) => directoryOf(config, operand)))];
  const further = directories.filter((directory) => !chroots.some((chroot) => chroot.path === directory));
  const wider = further.length === 0 ? config : withCommandLine(config, { chroots: further });
  const all = await discover(wider);
  const meant = all.chroots.filter((chroot) => directories.includes(chroot.path));
  if (meant.length < directories.length) {
    const why = all.problems.filter((problem) => !problems.includes(problem));
    throw new UserError(why.join('; '));
  }
  // in the order they were named
  const chrootAt = (directory: string): number => directories.indexOf(directory);
  return { chroots: meant.sort((a, b) => chrootAt(a.path) - chrootAt(b.path)), config: wider, further };
}

/** A subdirectory of the base directory, or a path; free of symlinks. */
function directoryOf(config: Config, operand: string): string {
  // the image of the system that `--root` is about, never of the one it runs beside
  if (/^\/+$/.test(operand)) return fs.realpathSync(config.root === '' ? '/' : config.root);
  const named = operand.replace(/\/+$/, '');
  const found = [path.join(config.base, named), path.resolve(named)].find(isDirectory);
  if (named === '' || found === undefined) throw new UserError(`Chroot ${operand} does not exist.`);
  return fs.realpathSync(found);
}

async function chrootOfHost(config: Config, chroots: readonly Chroot[]): Promise<Chroot> {
  const { stdout } = await run('dpkg', ['--print-architecture']);
  const architecture = stdout.trim();
  const chroot = chroots.find(({ name }) => name === architecture);
  if (chroot !== undefined) return chroot;
  if (chroots.length === 0) throw new UserError(`No chroots found in ${config.base}`);
  const names = chroots.map(({ name }) => name).join(', ');
  throw new UserError(`Chroot ${architecture} does not exist. There are: ${names} (name one, or give --all)`);
}

function isDirectory(file: string): boolean {
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
