import path from 'node:path';
import type { Paths } from '../config/config.ts';
import { UserError } from '../errors.ts';

/** The directories that names come from: BASE/images and the state directory. */
export type StorePaths = Pick<Paths, 'images' | 'state'>;

/** What clients get. */
export function imageFile({ images }: StorePaths, name: string): string {
  return path.join(images, `${component(name)}.img`);
}

/** What clients got before. */
export function oldFile({ images }: StorePaths, name: string): string {
  return path.join(images, `${component(name)}.img.old`);
}

/** Where the generations of a name are: on the file system of the images, since both are names of the same files. */
export function generationDirectory({ images }: StorePaths, name: string): string {
  return path.join(images, '.generations', component(name));
}

/** A generation's image. */
export function imageOf(paths: StorePaths, name: string, id: string): string {
  return path.join(generationDirectory(paths, name), `${component(id)}.img`);
}

/** A generation's record. */
export function recordOf(paths: StorePaths, name: string, id: string): string {
  return path.join(generationDirectory(paths, name), `${component(id)}.json`);
}

/** What the source's tree was when the image was made. */
export function manifestOf(paths: StorePaths, name: string, id: string): string {
  return path.join(generationDirectory(paths, name), `${component(id)}.manifest`);
}

/** An image that is not a generation yet. */
export function candidateOf(paths: StorePaths, name: string, id: string): string {
  return path.join(generationDirectory(paths, name), `${component(id)}.partial`);
}

/** What is left out of a candidate, beside it while it is built. */
export function excludesFileOf(candidate: string): string {
  return `${candidate}.excludes`;
}

/** What the chroot was while a candidate was made from a cleaned view of it. */
export function chrootManifestOf(candidate: string): string {
  return `${candidate}.chroot`;
}

/** The image that failed a check last, kept for a look. */
export function rejectedFiles(
  paths: StorePaths,
  name: string,
): Readonly<Record<'image' | 'record' | 'manifest', string>> {
  const stem = path.join(generationDirectory(paths, name), 'rejected');
  return { image: `${stem}.img`, record: `${stem}.json`, manifest: `${stem}.manifest` };
}

/** Quarantine, hold and last look of a chroot. */
export function chrootStateFile({ state }: StorePaths, name: string): string {
  return path.join(state, 'chroots', `${component(name)}.json`);
}

export function historyDirectory({ state }: StorePaths): string {
  return path.join(state, 'history');
}

export function historyFile(paths: StorePaths, name: string): string {
  return path.join(historyDirectory(paths), `${component(name)}.jsonl`);
}

export function scheduleFile({ state }: StorePaths): string {
  return path.join(state, 'schedule.json');
}

/** Journals of running jobs, and of those that a crash ended. */
export function journalDirectory({ state }: StorePaths): string {
  return path.join(state, 'journal');
}

/** What was found in initrds before. */
export function initrdDirectory({ state }: StorePaths): string {
  return path.join(state, 'initrds');
}

/** Names and ids also come from commands: none may lead to another directory. */
function component(text: string): string {
  if (text === '' || text === '.' || text === '..' || /[/\0]/.test(text)) {
    throw new UserError(`cannot use ${JSON.stringify(text)} as a name: it must be a single part of a path`);
  }
  return text;
}
