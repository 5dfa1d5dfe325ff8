import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { imagesInUse, removedButOpen } from '../../src/serve/open-images.ts';

let directory: string;
beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'open-images-'));
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

const at = (name: string): string => path.join(directory, name);

it('a file that a process has open is in use, by whatever name it was opened and even if that name is gone', async () => {
  fs.writeFileSync(at('generation'), 'x');
  fs.writeFileSync(at('idle'), 'x');
  fs.linkSync(at('generation'), at('live'));
  const files = [at('generation'), at('idle'), at('missing')];
  const holder = spawn('sh', ['-c', 'exec 3<"$1" && echo open && exec cat', 'sh', at('live')]);
  try {
    await once(holder.stdout, 'data');
    expect(imagesInUse(files)).toEqual(new Set([at('generation')]));
    fs.renameSync(at('idle'), at('live'));
    fs.writeFileSync(at('idle'), 'x');
    expect(imagesInUse(files)).toEqual(new Set([at('generation')]));
  } finally {
    holder.stdin.end();
    await once(holder, 'close');
  }
  expect(imagesInUse(files)).toEqual(new Set());
});

it('the room of removed files that somebody still has open is counted, once for each file', async () => {
  expect(removedButOpen(directory)).toEqual({ files: 0, bytes: 0 });
  fs.writeFileSync(at('removed'), 'x'.repeat(100_000));
  fs.writeFileSync(at('kept'), 'x'.repeat(100_000));
  const { blocks } = fs.statSync(at('removed'));
  const holder = spawn('sh', [
    '-c',
    'exec 3<"$1" 4<"$1" 5<"$2" && echo open && exec cat',
    'sh',
    at('removed'),
    at('kept'),
  ]);
  try {
    await once(holder.stdout, 'data');
    fs.rmSync(at('removed'));
    expect(removedButOpen(directory)).toEqual({ files: 1, bytes: blocks * 512 });
    expect(removedButOpen(`${directory}-other`)).toEqual({ files: 0, bytes: 0 });
  } finally {
    holder.stdin.end();
    await once(holder, 'close');
  }
});

it('a mounted image is in use, also when its name has been given to another since', () => {
  fs.mkdirSync(at('tree'));
  fs.mkdirSync(at('mnt'));
  execFileSync('mksquashfs', [at('tree'), at('first.img'), '-quiet', '-no-progress']);
  execFileSync('mksquashfs', [at('tree'), at('second.img'), '-quiet', '-no-progress']);
  fs.linkSync(at('first.img'), at('NAME.img'));
  execFileSync('mount', ['-o', 'loop,ro', at('NAME.img'), at('mnt')]);
  try {
    fs.linkSync(at('second.img'), at('next'));
    fs.renameSync(at('next'), at('NAME.img'));
    expect(imagesInUse([at('first.img'), at('second.img')])).toEqual(new Set([at('first.img')]));
  } finally {
    execFileSync('umount', [at('mnt')]);
  }
});

it('all images count as in use for a program that is not allowed to look', () => {
  fs.writeFileSync(at('image'), 'x');
  fs.chmodSync(directory, 0o755);
  const program = `import { imagesInUse, removedButOpen } from ${JSON.stringify(bundle())};
    process.stdout.write(JSON.stringify([...imagesInUse(${JSON.stringify([at('image'), at('missing')])})]));`;
  fs.writeFileSync(at('program.mjs'), program);
  const privileges = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, at('program.mjs')];
  expect(JSON.parse(execFileSync('setpriv', privileges, { encoding: 'utf8' }))).toEqual([at('image')]);
});

/** The module as plain JavaScript, where another user may read it. */
function bundle(): string {
  const outfile = at('open-images.mjs');
  const entryPoints = [path.join(import.meta.dirname, '../../src/serve/open-images.ts')];
  buildSync({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm' });
  return outfile;
}
