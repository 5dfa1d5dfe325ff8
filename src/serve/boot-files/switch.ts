import fs from 'node:fs';
import path from 'node:path';
import { hasCode, messageOf, UserError } from '../../errors.ts';
import { syncDirectory } from '../../system/durable.ts';
import { fault } from '../../system/faults.ts';
import { exchange as exchangePaths } from '../../system/posix.ts';
import { bootError } from './boot-error.ts';
import { removeIfEmpty, statsOf, syncTree } from './directory-tree.ts';
import { type Layout, MANIFEST } from './layout.ts';
import { oursIn, readManifest, writeManifest } from './manifest.ts';
import { removeNext } from './next.ts';
import { carryOwnFiles, makeYieldingLinks } from './own-files.ts';
import { applyPiecewise, onlyIn, removePaths, saveByLinks, unchangedSince } from './piecewise.ts';
import { asideOf, type BootPlan, savedOf } from './plan.ts';
import { removePassing, replaceByLink } from './replace.ts';
import { makeTopLinks, undoTopLinks } from './top-links.ts';

/** How a directory was switched, and the admin's files that the new one lacks (kernels without modules, for example). */
export type Switched = { how: 'exchange' | 'rename' | 'piecewise'; dropped: string[] };

/**
 * Two paths change places in one step (renameat2(2), RENAME_EXCHANGE); throws an error with `code` where that cannot be.
 * A parameter, as few file systems that cannot do it are at hand for a test.
 */
export type Exchange = (one: string, other: string) => void;

/**
 * Gives clients the next directory in place of the present one, at once where the file system can do so. The admin's own
 * files are in both. The former directory stays until `removeFormer`. Where the file system cannot exchange, each file is
 * replaced by itself: none is torn, and what only the former directory had stays in it until `removeFormer`, for a client
 * that has just read a link to it.
 * @throws UserError when that cannot be; `undoSwitch` then brings the former state back
 */
export function switchBootDirectory(plan: BootPlan, layout: Layout, exchange: Exchange = exchangePaths): Switched {
  try {
    const switched = plan.before === 'absent' ? takePlace(plan, layout) : changePlaces(plan, layout, exchange);
    fault('boot.top-links');
    makeTopLinks(plan.topLinks);
    return switched;
  } catch (error) {
    throw bootError(`switch boot files in ${plan.directory}`, path.dirname(plan.directory), error);
  }
}

/**
 * Brings back what was there before the plan, whatever of it has been done; may be repeated. What the admin has written
 * meanwhile stays. Where directories cannot be exchanged, what is taken back is gone at once.
 * @throws UserError when the former state is gone or the directory cannot be written to
 */
export function undoSwitch(plan: BootPlan, exchange: Exchange = exchangePaths): void {
  try {
    undoTopLinks(plan.topLinks);
    if (fs.existsSync(savedOf(plan))) undoPiecewise(plan);
    else if (plan.before === 'absent') undoTakePlace(plan);
    else if (isSwitched(plan)) undoExchange(plan, exchange);
    removeNext(plan);
    syncAbove(plan);
  } catch (error) {
    throw bootError(`bring back the former boot files in ${plan.directory}`, path.dirname(plan.directory), error);
  }
}

/**
 * Removes the former directory. From here on there is no undo: call it when nothing can fail any more. May be repeated
 * after a crash.
 */
export function removeFormer(plan: BootPlan): void {
  if (fs.existsSync(savedOf(plan))) removeGoing(plan);
  for (const former of [asideOf(plan), savedOf(plan)]) {
    if (!fs.existsSync(former)) continue;
    // never half of it under a name that an undo looks for
    const gone = `${former}.gone`;
    fault('boot.former-rename');
    fs.renameSync(former, gone);
    fault('boot.former-remove');
    fs.rmSync(gone, { recursive: true, force: true });
  }
}

/** What the switch has left in the directory goes, unless someone has put something else there meanwhile. */
function removeGoing(plan: BootPlan): void {
  const { directory } = plan;
  const manifest = readManifest(directory);
  if (manifest?.id !== plan.id) return;
  fault('boot.going-remove');
  removePassing(directory);
  const unchanged = unchangedSince(savedOf(plan), directory);
  removePaths(
    directory,
    manifest.going.filter((file) => unchanged.has(file)),
  );
  syncTree(directory);
  // from now on a file of such a name is the admin's; made beside it, where the next run clears what a crash leaves
  const cleared = `${asideOf(plan)}.cleared`;
  fs.mkdirSync(cleared, { recursive: true });
  writeManifest(cleared, { ...manifest, going: [] });
  replaceByLink(path.join(cleared, MANIFEST), path.join(directory, MANIFEST));
  syncDirectory(directory);
  fs.rmSync(cleared, { recursive: true });
}

/** The directory as it is now was made by this plan. */
function isSwitched({ id, directory }: BootPlan): boolean {
  return readManifest(directory)?.id === id;
}

function takePlace(plan: BootPlan, layout: Layout): Switched {
  if (fs.existsSync(plan.directory))
    throw new UserError(`cannot make ${plan.directory}: someone has made it meanwhile`);
  makeYieldingLinks(asideOf(plan), layout);
  syncTree(asideOf(plan));
  fault('boot.rename');
  fs.renameSync(asideOf(plan), plan.directory);
  syncAbove(plan);
  return { how: 'rename', dropped: [] };
}

/** Ours goes; a file that the admin put there meanwhile stays. */
function undoTakePlace(plan: BootPlan): void {
  const { directory } = plan;
  if (isSwitched(plan)) {
    fault('boot.undo-remove');
    for (const file of [...oursIn(directory)].sort().reverse()) removeOurs(path.join(directory, file));
    fs.rmSync(path.join(directory, MANIFEST), { force: true });
  }
  removeIfEmpty(directory);
}

function removeOurs(file: string): void {
  const stats = statsOf(file);
  if (stats?.isDirectory() === true) removeIfEmpty(file);
  else if (stats !== undefined) fs.unlinkSync(file);
}

function changePlaces(plan: BootPlan, layout: Layout, exchange: Exchange): Switched {
  const { directory } = plan;
  const aside = asideOf(plan);
  // of a switch whose `removeFormer` never came
  const left = readManifest(directory)?.going ?? [];
  const rules = { ours: new Set([...oursIn(directory), ...left]), taken: oursIn(aside), modules: layout.modules };
  fault('boot.carry');
  const { inodes, dropped } = carryOwnFiles(directory, aside, rules);
  makeYieldingLinks(aside, layout);
  syncTree(aside);
  try {
    fault('boot.exchange');
    exchange(aside, directory);
  } catch (error) {
    if (!cannotExchange(error)) throw error;
    takeOverPiecewise(plan);
    return { how: 'piecewise', dropped };
  }
  syncAbove(plan);
  fault('boot.carry-again');
  // an editor may have put a new file in the place of the old one between the two steps above
  carryOwnFiles(aside, directory, { ...rules, known: inodes });
  syncTree(directory);
  return { how: 'exchange', dropped };
}

function undoExchange(plan: BootPlan, exchange: Exchange): void {
  const { directory } = plan;
  const former = asideOf(plan);
  if (!fs.existsSync(former)) throw new UserError(`cannot bring back ${directory}: ${former} is gone`);
  const lost = saveOwnFiles(directory, former);
  fault('boot.undo-exchange');
  exchange(former, directory);
  syncAbove(plan);
  if (lost === null) return;
  const kept = path.join(path.dirname(directory), `.${path.basename(directory)}.kept-${plan.id}`);
  fs.renameSync(former, kept);
  throw new UserError(`cannot keep what was written into ${directory} since the switch: ${lost} (it is in ${kept})`);
}

/** Clients' kernels are worth more than the admin's last edit: that it cannot be kept must not keep those away. */
function saveOwnFiles(directory: string, former: string): string | null {
  try {
    carryOwnFiles(directory, former, { ours: oursIn(directory), taken: oursIn(former), modules: null });
    syncTree(former);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

function takeOverPiecewise(plan: BootPlan): void {
  const saved = savedOf(plan);
  saveByLinks(plan.directory, saved);
  syncAbove(plan);
  const aside = asideOf(plan);
  const manifest = readManifest(aside);
  if (manifest === null) throw new Error(`internal error: ${aside} has no manifest`);
  // it comes last, so that the directory says what is going from when it counts as switched
  writeManifest(aside, { ...manifest, going: onlyIn(saved, aside) });
  fault('boot.piecewise');
  applyPiecewise(aside, plan.directory, []);
  fs.rmSync(aside, { recursive: true, force: true });
}

function undoPiecewise(plan: BootPlan): void {
  const { directory } = plan;
  const saved = savedOf(plan);
  const aside = asideOf(plan);
  // in the middle of it some of the files there are ours, and not in the manifest there yet
  const ours = new Set([...oursIn(directory), ...(fs.existsSync(aside) ? oursIn(aside) : [])]);
  const carry = { ours: new Set([...ours, ...unchangedSince(saved, directory)]), taken: oursIn(saved), modules: null };
  carryOwnFiles(directory, saved, carry);
  fault('boot.undo-piecewise');
  applyPiecewise(saved, directory, ours);
  fault('boot.undo-rename');
  fs.renameSync(saved, `${saved}.gone`);
  fs.rmSync(`${saved}.gone`, { recursive: true, force: true });
}

/** No such call, not on this file system, an overlay's lower directory, or a mount point. */
function cannotExchange(error: unknown): boolean {
  return hasCode(error, 'EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EXDEV', 'EBUSY');
}

function syncAbove({ directory }: BootPlan): void {
  fault('boot.sync-above');
  const above = path.dirname(directory);
  if (fs.existsSync(above)) syncDirectory(above);
}
