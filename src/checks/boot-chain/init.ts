import fs from 'node:fs';
import { isFileInside, namesInside, openInside } from '../../chroot/open-inside.ts';
import { missingPaths } from '../required.ts';
import { type ElfNeeds, readElfNeeds } from './elf.ts';

/** What clients run first; LTSP's own init-ltsp ends with it too. */
const INIT = 'sbin/init';

/** Linux' O_PATH: a descriptor that only tells what a path is. */
const O_PATH = 0o10000000;

/** Why clients cannot run the image's init, as a sentence; null when they can. Links are followed inside the image. */
export function initProblem(root: string): string | null {
  const [missing] = missingPaths(root, [INIT]);
  if (missing !== undefined) return missing;
  const stats = statsInside(root, INIT);
  if (stats === null || !stats.isFile()) return `${INIT} is no file`;
  if ((stats.mode & 0o111) === 0) return `${INIT} is not executable`;
  const fd = openInside(root, INIT, fs.constants.O_RDONLY);
  if (fd === null) return `${INIT} is missing`;
  try {
    const interpreter = scriptInterpreter(fd);
    if (interpreter !== null) return interpreterProblem(root, interpreter);
    const needs = readElfNeeds(fd);
    return needs === null ? `${INIT} is neither a program nor a script` : missingOf(root, INIT, needs);
  } finally {
    fs.closeSync(fd);
  }
}

function statsInside(root: string, file: string): fs.Stats | null {
  const fd = openInside(root, file, O_PATH);
  if (fd === null) return null;
  try {
    return fs.fstatSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function scriptInterpreter(fd: number): string | null {
  const head = Buffer.alloc(256);
  const text = head.toString('utf8', 0, fs.readSync(fd, head, 0, head.length, 0));
  return /^#![ \t]*(\S+)/.exec(text)?.[1] ?? null;
}

/** A script's interpreter has to start as well; what is no program is not judged. */
function interpreterProblem(root: string, interpreter: string): string | null {
  const script = `${INIT} is a script for ${interpreter}`;
  const fd = isFileInside(root, interpreter) ? openInside(root, interpreter, fs.constants.O_RDONLY) : null;
  if (fd === null) return `${script}, which is missing`;
  try {
    const needs = readElfNeeds(fd);
    return needs === null ? null : missingOf(root, `${script}, which`, needs);
  } finally {
    fs.closeSync(fd);
  }
}

function missingOf(root: string, who: string, { interpreter, libraries, libraryDirs }: ElfNeeds): string | null {
  if (interpreter !== null && !isFull(root, interpreter)) return `${who} needs ${interpreter}, which is missing`;
  // $ORIGIN and the like: what they lead to is the loader's to know
  if (libraryDirs.some((directory) => directory.includes('$'))) return null;
  const directories = [...libraryDirs.filter((one) => one.startsWith('/')), ...libraryDirsOf(root)];
  const missing = libraries.find((name) => {
    const places = name.includes('/') ? [name] : directories.map((directory) => `${directory}/${name}`);
    return !places.some((place) => isFull(root, place));
  });
  return missing === undefined ? null : `${who} needs the library ${missing}, which is missing`;
}

/** Where loaders look, with Debian's directories by architecture. */
function libraryDirsOf(root: string): string[] {
  const tops = ['lib', 'usr/lib', 'lib64', 'usr/lib64', 'lib32', 'usr/lib32', 'usr/local/lib'];
  const byArchitecture = ['lib', 'usr/lib', 'usr/local/lib'].flatMap((top) =>
    namesInside(root, top)
      .filter((name) => name.includes('-linux-'))
      .map((name) => `${top}/${name}`),
  );
  return [...tops, ...byArchitecture];
}

function isFull(root: string, file: string): boolean {
  return isFileInside(root, file) && (statsInside(root, file)?.size ?? 0) > 0;
}
