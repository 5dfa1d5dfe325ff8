import fs from 'node:fs';
import path from 'node:path';
import { runChecks } from '../checks/check.ts';
import { type ImageSubject, imageChecks } from '../checks/image-checks.ts';
import { mountOnce } from '../checks/mount-once.ts';
import { contentsInThread } from '../checks/sample.ts';
import { configOf } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { UsageError } from '../errors.ts';
import { printable } from '../report/printable.ts';
import { renderVerdict } from '../report/verdict.ts';
import type { CheckResult } from '../store/generation.ts';
import { imageFile, manifestOf, type StorePaths } from '../store/layout.ts';
import { readLinks } from '../store/links.ts';
import { makeMountPoint } from '../store/mount-point.ts';
import { readRecord } from '../store/records.ts';
import { treeInThread } from '../tree/in-thread.ts';
import { checkCron } from '../watch/schedule.ts';
import type { GlobalOptions } from './exit.ts';

/**
 * `verify NAME|FILE [--json]`: what a candidate has to pass, with the image that clients get or any other. Changes nothing.
 * @returns 0 when it passes, 3 when it does not
 */
export async function verify(
  { root = '', config: file }: GlobalOptions,
  what: string,
  options: { json?: true },
): Promise<0 | 3> {
  const config = loadConfig({ root, checkCron, ...(file === undefined ? {} : { file }) });
  const subject = subjectOf(config.paths, what);
  const settings = configOf(config, subject.name).check;
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.on('SIGINT', end).on('SIGTERM', end);
  const image = mountOnce(subject.file, subject.mountPoint, settings.timeout, stop.signal);
  try {
    const tools = { config, settings, tree: treeInThread, contents: contentsInThread, image };
    const verdict = await runChecks(imageChecks(subject, tools), settings.timeout, stop.signal);
    process.stdout.write(options.json === true ? asJson(subject, verdict.results) : inWords(subject, verdict.results));
    return verdict.kind === 'passed' ? 0 : 3;
  } finally {
    await image.close();
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

/** A file of that name is meant where there is a slash in it, or no image is called so. */
function subjectOf(paths: StorePaths, what: string): ImageSubject {
  const mountPoint = makeMountPoint(paths);
  if (!what.includes('/')) {
    const { current } = readLinks(paths, what);
    if (current.kind === 'generation') return generation(paths, what, current.id, mountPoint);
    if (current.kind === 'foreign') return unknown(imageFile(paths, what), what, mountPoint);
  }
  const file = path.resolve(what);
  if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true) {
    return unknown(file, path.parse(file).name, mountPoint);
  }
  throw new UsageError(
    `cannot verify ${what}: there is neither an image of that name nor such a file (ltsp-autoimage status names those there are)`,
  );
}

/** The chroot may have moved on, so that its files say nothing about the image; the manifest does. */
function generation(paths: StorePaths, name: string, id: string, mountPoint: string): ImageSubject {
  const record = readRecord(paths, name, id);
  const manifestFile = manifestOf(paths, name, id);
  return {
    name,
    file: imageFile(paths, name),
    servedAs: imageFile(paths, name),
    recorded: record === undefined ? null : { digest: record.digest, size: record.size },
    made: fs.existsSync(manifestFile) ? { manifestFile, source: null, written: [] } : null,
    mountPoint,
  };
}

function unknown(file: string, name: string, mountPoint: string): ImageSubject {
  return { name, file, servedAs: file, recorded: null, made: null, mountPoint };
}

function asJson({ file, name }: ImageSubject, results: readonly CheckResult[]): string {
  const passed = results.every((one) => one.passed);
  return `${JSON.stringify({ name, file, passed, checks: results }, null, 2)}\n`;
}

function inWords({ file }: ImageSubject, results: readonly CheckResult[]): string {
  return renderVerdict(printable(file), results, process.stdout.columns || 80);
}
