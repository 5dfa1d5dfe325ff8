import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ContentCheckOptions, contentCheck } from '../../src/checks/content.ts';
import { type MountOnce, mountOnce } from '../../src/checks/mount-once.ts';
import { CancelledError, RejectedError } from '../../src/errors.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import { leftovers } from '../end-to-end/server.ts';

let directory: string;
let tree: string;
let image: string;
let mount: MountOnce;
let options: ContentCheckOptions;
beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'content-'));
  tree = path.join(directory, 'tree');
  fs.mkdirSync(path.join(tree, 'etc'), { recursive: true });
  fs.mkdirSync(path.join(tree, 'proc'));
  fs.mkdirSync(path.join(directory, 'mnt'));
  fs.writeFileSync(path.join(tree, 'etc/passwd'), 'root\n');
  fs.symlinkSync('passwd', path.join(tree, 'etc/link'));
  const manifestFile = path.join(directory, 'manifest');
  const patterns = { excludePatterns: [], ignorePatterns: [], skipContents: [] };
  await treeInThread.look({ root: tree, ...patterns, manifestFile });
  image = path.join(directory, 'it.img');
  mount = mountOnce(image, path.join(directory, 'mnt'), 60_000, new AbortController().signal);
  options = {
    image: mount,
    manifestFile,
    tree: treeInThread,
  };
});
afterEach(async () => {
  await mount.close();
  expect(leftovers(directory)).toEqual([]);
  fs.rmSync(directory, { recursive: true });
});

/** Makes the image of the tree as it is now. */
function makeImage(...more: string[]): void {
  execFileSync('mksquashfs', [tree, image, '-noappend', '-quiet', '-no-progress', ...more]);
}

function relink(target: string): void {
  fs.rmSync(path.join(tree, 'etc/link'));
  fs.symlinkSync(target, path.join(tree, 'etc/link'));
}

async function check(more: Partial<ContentCheckOptions> = {}): Promise<string> {
  return (await contentCheck({ ...options, ...more }).run(new AbortController().signal)).message;
}

describe('the content check', () => {
  it('passes an image that has what the source had', async () => {
    makeImage();
    expect(await check()).toBe('it mounts and has what the chroot had');
  });

  it.each<[string, (() => void) | null, string[]]>([
    ['lacks a file', null, ['-e', 'etc/passwd']],
    ['has one more', () => fs.writeFileSync(path.join(tree, 'etc/more'), ''), []],
    ['has another mode', () => fs.chmodSync(path.join(tree, 'etc/passwd'), 0o4755), []],
    ['has another owner', null, ['-force-uid', '7']],
    ['has a shorter file', () => fs.truncateSync(path.join(tree, 'etc/passwd'), 2), []],
    ['has a link that leads elsewhere', () => relink('shadow'), []],
  ])('rejects one that %s', async (_, change, more) => {
    change?.();
    makeImage(...more);
    const checking = check();
    await expect(checking).rejects.toThrow(RejectedError);
    await expect(checking).rejects.toThrow(/^the image is not what the chroot was: \S*.+/);
  });

  it('names five of many differences', async () => {
    for (let count = 0; count < 9; count += 1) fs.writeFileSync(path.join(tree, `more-${count}`), '');
    makeImage();
    await expect(check()).rejects.toThrow(/^the image is not what the chroot was: ([^,]+, ){4}[^,]+ and more$/);
  });

  it.each([
    ['is no squashfs', 'not an image at all'.repeat(1000)],
    ['is empty', ''],
  ])('rejects one that %s', async (_, content) => {
    fs.writeFileSync(image, content);
    const checking = check();
    await expect(checking).rejects.toThrow(RejectedError);
    await expect(checking).rejects.toThrow('the image does not mount');
  });

  it('stopped in between says nothing of the image', async () => {
    makeImage();
    const signal = AbortSignal.abort();
    await expect(contentCheck(options).run(signal)).rejects.toThrow(CancelledError);
  });
});
