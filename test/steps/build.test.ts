import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { PackageLock } from '../../src/chroot/package-lock.ts';
import { VoidError } from '../../src/errors.ts';
import { build } from '../../src/steps/build.ts';
import { lockPackages } from '../../src/steps/lock-packages.ts';
import { digestNow } from '../../src/store/digest.ts';
import { candidateOf as candidateFile, generationDirectory, manifestOf } from '../../src/store/layout.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import type { Tree } from '../../src/tree/look.ts';
import { makeJob, makeSite, pastNow, type TestSite } from './site.ts';

let made: TestSite;
let chroot: Chroot;

async function prepare(tree?: Tree): Promise<void> {
  made = makeSite('[build]\nexclude = ["etc/secret"]\n', tree);
  chroot = await made.makeChroot('amd64');
}
beforeEach(() => prepare());

/** What the step leaves in the directory of generations. */
function files(): string[] {
  return fs.readdirSync(generationDirectory(made.site.config.paths, 'amd64'));
}

describe('build', () => {
  it('makes the candidate, its manifest and its record; its undo removes all of it, twice too', async () => {
    const { paths } = made.site.config;
    const job = makeJob(made.site, chroot);
    const plan = await build.prepare(job);
    expect(fs.existsSync(generationDirectory(paths, 'amd64'))).toBe(false);
    await build.act(job, plan);
    const file = candidateFile(paths, 'amd64', job.id);
    expect(files().sort()).toEqual([path.basename(manifestOf(paths, 'amd64', job.id)), path.basename(file)].sort());
    const about = { id: job.id, name: 'amd64', reason: 'a test', packages: { base: '1' }, kernels: [], checks: [] };
    expect(job.candidate).toMatchObject({ ...about, ...digestNow(file), builder: 'mksquashfs', compression: 'gzip 6' });
    expect(fs.statSync(file).mode & 0o777).toBe(0o640);
    for (const _ of [1, 2]) {
      await build.undo(made.site, plan);
      expect(files()).toEqual([]);
    }
  });

  it('leaves out what is excluded', async () => {
    fs.writeFileSync(path.join(chroot.path, 'etc/secret'), 'secret\n');
    await pastNow();
    const job = makeJob(made.site, chroot);
    await build.act(job, await build.prepare(job));
    const file = candidateFile(made.site.config.paths, 'amd64', job.id);
    const list = execFileSync('unsquashfs', ['-l', '-d', '', file], { encoding: 'utf8' });
    expect(list).toContain('/etc/passwd\n');
    expect(list).not.toContain('secret');
  });

  it('holds the packages until the tree has been read, and then no longer', async () => {
    let held: (() => unknown) | undefined;
    const tree: Tree = {
      ...treeInThread,
      compareWalk: async (...args) => {
        held = () => PackageLock.take(chroot);
        expect(held).toThrow('cannot lock the packages of amd64');
        return treeInThread.compareWalk(...args);
      },
    };
    await prepare(tree);
    const job = makeJob(made.site, chroot);
    await lockPackages.act(job, await lockPackages.prepare(job));
    await build.act(job, await build.prepare(job));
    expect(held).toBeDefined();
    PackageLock.take(chroot).release();
  });

  it('of a chroot that changes meanwhile is void, and says what changed', async () => {
    const tree: Tree = {
      ...treeInThread,
      compareWalk: (...args) => {
        fs.appendFileSync(path.join(chroot.path, 'etc/passwd'), 'more\n');
        fs.writeFileSync(path.join(chroot.path, 'etc/new'), 'new\n');
        return treeInThread.compareWalk(...args);
      },
    };
    await prepare(tree);
    const job = makeJob(made.site, chroot);
    const plan = await build.prepare(job);
    const building = build.act(job, plan);
    await expect(building).rejects.toThrow(VoidError);
    await expect(building).rejects.toThrow(
      /^cannot use the image of amd64: the chroot changed while it was read \(.*etc.* and \d more\)$/,
    );
    expect(job.candidate).toBeNull();
    await build.undo(made.site, plan);
    expect(files()).toEqual([]);
  });

  it('of a chroot that is gone says so', async () => {
    const job = makeJob(made.site, chroot);
    fs.rmSync(chroot.path, { recursive: true });
    await expect(build.act(job, await build.prepare(job))).rejects.toThrow(
      `cannot read ${chroot.path}: it does not exist`,
    );
  });
});
