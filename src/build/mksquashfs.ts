import fs from 'node:fs';
import { UserError } from '../errors.ts';
import { excludesFileOf } from '../store/layout.ts';
import { run } from '../system/processes.ts';
import type { Compression } from './compression.ts';

export type MksquashfsOptions = {
  /** The tree; its content becomes the image's root. */
  source: string;
  /** The image file to make; a former one is replaced. */
  image: string;
  compression: Compression;
  /** mksquashfs -wildcards patterns, one char per byte; none may hold a newline. */
  excludes: readonly string[];
  nice: boolean;
  signal: AbortSignal;
  /** Called with whole percents, each once, rising. */
  onPercent: (percent: number) => void;
};

/**
 * Makes a whole image with mksquashfs (squashfs-tools 4.5 or later). The file is complete when this returns, but not
 * yet durable; on any failure no part of it stays.
 * @throws UserError with what mksquashfs said; CancelledError when `signal` ended it
 */
export async function mksquashfs(options: MksquashfsOptions): Promise<void> {
  const { source, image, compression } = options;
  // A file, since mksquashfs cannot open the socket that a program started by Node has as its standard input.
  const excludesFile = excludesFileOf(image);
  try {
    fs.writeFileSync(excludesFile, excludesText(options.excludes), { mode: 0o600 });
    const args = [source, image, '-noappend', '-no-recovery', '-quiet', '-progress', '-wildcards', '-ef', excludesFile];
    await run('mksquashfs', [...args, ...compressionArguments(compression)], {
      nice: options.nice,
      signal: options.signal,
      onOutput: percentReader(options.onPercent),
    });
  } catch (error) {
    fs.rmSync(image, { force: true });
    throw error;
  } finally {
    fs.rmSync(excludesFile, { force: true });
  }
}

function excludesText(patterns: readonly string[]): Buffer {
  for (const pattern of patterns) {
    // the file has one pattern a line: a newline would turn one pattern into two others
    if (pattern.includes('\n'))
      throw new UserError(`cannot exclude ${JSON.stringify(pattern)}: it has a line break in it`);
  }
  // Of each line mksquashfs drops white space before it and one backslash, and takes one with # as a comment.
  return Buffer.from(patterns.map((pattern) => `\\${pattern}\n`).join(''), 'latin1');
}

function compressionArguments({ type, level }: Compression): string[] {
  if (type === 'none') return ['-noI', '-noD', '-noF', '-noX', '-no-exports'];
  return ['-comp', type, ...(level === 0 ? [] : ['-Xcompression-level', String(level)])];
}

/** Reads the progress bar: `[====-   ] 1234/5678  21%`, redrawn after a carriage return. */
function percentReader(onPercent: (percent: number) => void): (text: string) => void {
  let tail = '';
  let last = -1;
  return (text) => {
    tail = `${tail}${text}`.slice(-400);
    const percents = [...tail.matchAll(/\]\s+\d+\/\d+\s+(\d+)%/g)];
    const percent = Number(percents.at(-1)?.[1] ?? -1);
    if (percent <= last) return;
    last = percent;
    onPercent(percent);
  };
}
