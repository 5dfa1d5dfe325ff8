import fs from 'node:fs';
import type { Chroot } from '../../chroot/chroot.ts';
import { withCommandLine } from '../../config/command-line.ts';
import type { Config } from '../../config/config.ts';
import { loadConfig } from '../../config/load.ts';
import { readLtspVariables } from '../../config/ltsp.ts';
import { UserError } from '../../errors.ts';
import { type Control, exitCodeOf, type Outcome } from '../../report/control.ts';
import { checkCron } from '../../watch/schedule.ts';
import { sayOutcomes } from '../outcomes.ts';
import { progressLine } from '../progress.ts';
import { selectChroots } from './chroots.ts';
import type { CommandLine } from './command-line.ts';
import { requireNbd } from './exports.ts';
import { requestOf } from './options.ts';
import { workerFor } from './worker.ts';

/**
 * Builds or reverts the images of the chroots that are meant. What is wrong with one of them is found before anything is
 * done for the others.
 * @returns the exit status
 * @throws UserError
 */
export async function updateImages(commandLine: Extract<CommandLine, { kind: 'run' }>): Promise<0 | 1> {
  const request = requestOf(commandLine, (root) => readLtspVariables(root).variables);
  const site = loadConfig({ root: request.root, checkCron });
  const mine = withCommandLine(site, request.settings);
  for (const warning of request.warnings) process.stderr.write(`warning: ${warning}\n`);
  requireBase(mine);
  requireNbd(mine, request.exporting);
  const selected = await selectChroots(mine, request.chroots);
  const { control, close } = await workerFor(request, site, selected, (text) => process.stdout.write(`${text}\n`));
  try {
    const outcomes = await (request.kind === 'revert' ? revert : build)(control, selected.chroots);
    sayOutcomes(outcomes);
    return exitCodeOf(outcomes) === 0 ? 0 : 1;
  } finally {
    await close();
  }
}

function requireBase({ base }: Config): void {
  if (fs.statSync(base, { throwIfNoEntry: false })?.isDirectory() === true) return;
  const hint = 'give it with --base, or as BASE in /etc/ltsp/ltsp-server.conf';
  throw new UserError(`cannot update images: there is no directory ${base} (${hint})`);
}

/** Builds in any case, as LTSP 5 does. */
async function build(control: Control, chroots: readonly Chroot[]): Promise<Outcome[]> {
  // as that of mksquashfs, so that standard error has what went wrong and nothing else
  const progress = progressLine(process.stdout);
  const names = chroots.map(({ path }) => path);
  try {
    return await control.build({ names, scope: 'named', force: 'force', locks: 'wait' }, progress.show);
  } finally {
    progress.end();
  }
}

/** One after the other: they are quick. */
async function revert(control: Control, chroots: readonly Chroot[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { path } of chroots) outcomes.push(await control.revert({ name: path, to: null }));
  return outcomes;
}
