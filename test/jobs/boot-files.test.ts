import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { configOf } from '../../src/config/config.ts';
import { RejectedError } from '../../src/errors.ts';
import { Journal, openJournals } from '../../src/jobs/journal.ts';
import { REBUILD_STEPS, type RebuildResult, rebuild } from '../../src/jobs/rebuild.ts';
import { recoverJobs } from '../../src/jobs/recovery.ts';
import { type RevertResult, revert } from '../../src/jobs/revert.ts';
import { runJob } from '../../src/jobs/runner.ts';
import { addKernel, addReferenceKernels, visibleIn } from '../serve/boot-files/site.ts';
import { makeJob, makeSite, pastNow, type TestSite } from '../steps/site.ts';

let made: TestSite;
let chroot: Chroot;
let tftp: string;
beforeEach(async () => {
  made = makeSite();
  chroot = await made.makeChroot('amd64');
  tftp = path.join(made.server.root, 'srv/tftp');
  fs.mkdirSync(tftp, { recursive: true });
});

async function build(): Promise<RebuildResult> {
  await pastNow();
  const settings = configOf(made.site.config, 'amd64');
  const signal = new AbortController().signal;
  return rebuild(made.site, { chroot, settings, reason: 'a test', twin: 'new', signal, onProgress: () => {} });
}

async function publish(version: string): Promise<string> {
  fs.rmSync(path.join(chroot.path, 'boot'), { recursive: true, force: true });
  fs.rmSync(path.join(chroot.path, 'lib/modules'), { recursive: true, force: true });
  addKernel(chroot.path, version);
  const result = await build();
  if (result.kind !== 'published') throw new Error(result.message);
  return result.id;
}

function back(to: string | null = null): Promise<RevertResult> {
  return revert(made.site, { name: 'amd64', because: 'asked', to, signal: new AbortController().signal });
}

const directory = (): string => path.join(tftp, 'ltsp/amd64');
/** What a PXE client gets. */
const kernel = (): string => fs.readFileSync(path.join(directory(), 'vmlinuz-amd64'), 'utf8');
/** Everything beside the directory: what a switch leaves there. */
const beside = (): string[] => fs.readdirSync(path.join(tftp, 'ltsp')).filter((name) => name !== 'amd64');

describe('kernels and image are one unit', () => {
  it('a build puts the boot files of its image into each TFTP directory there is, with links by flavour', async () => {
    const other = path.join(made.server.root, 'tftpboot');
    fs.mkdirSync(other);
    made.server.configure('[serve]\nlayout = "ltsp5"\n');
    addReferenceKernels(chroot.path);
    expect(await build()).toMatchObject({ kind: 'published' });
    for (const one of [tftp, other]) {
      const files = visibleIn(path.join(one, 'ltsp/amd64'));
      expect(files).toMatchObject({
        'vmlinuz-amd64': '→ vmlinuz-6.1.0-2-amd64',
        'initrd.img-amd64': '→ initrd.img-6.1.0-2-amd64',
        'vmlinuz-6.1.0-1-amd64': 'kernel 6.1.0-1-amd64',
        'pxelinux.cfg/default': '→ ltsp',
      });
    }
    expect(beside()).toEqual([]);
  });

  it('a revert brings back those of the image it goes back to; the second one brings back the start', async () => {
    const first = await publish('6.1.0-1-amd64');
    await publish('6.1.0-2-amd64');
    expect(kernel()).toBe('kernel 6.1.0-2-amd64');
    expect(await back()).toMatchObject({ kind: 'reverted', id: first });
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
    await back();
    expect(kernel()).toBe('kernel 6.1.0-2-amd64');
    await publish('6.1.0-3-amd64');
    await back(first);
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
    expect(beside()).toEqual([]);
  });

  it('boot files that are as the image has them are left alone', async () => {
    await publish('6.1.0-1-amd64');
    const before = fs.statSync(directory()).ino;
    fs.writeFileSync(path.join(chroot.path, 'etc/motd'), 'more\n');
    expect(await build()).toMatchObject({ kind: 'published' });
    expect(fs.statSync(directory()).ino).toBe(before);
  });

  it('boot files that someone has damaged are made anew', async () => {
    await publish('6.1.0-1-amd64');
    const file = path.join(directory(), 'vmlinuz-6.1.0-1-amd64');
    const { atime, mtime } = fs.statSync(file);
    fs.writeFileSync(file, 'kernel 6.1.0-1-amd6X');
    fs.utimesSync(file, atime, mtime);
    fs.writeFileSync(path.join(chroot.path, 'etc/motd'), 'more\n');
    await build();
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
  });

  it('an image without a kernel leaves those that are there, and says so', async () => {
    await publish('6.1.0-1-amd64');
    fs.rmSync(path.join(chroot.path, 'boot'), { recursive: true });
    const result = await build();
    expect(result).toMatchObject({ kind: 'published' });
    const why = 'there is no kernel with an initrd in boot/';
    expect(result.kind === 'published' ? result.notes : []).toContain(
      `amd64: boot files in ${directory()} stay as they are: ${why}`,
    );
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
  });

  it('nothing is published where a TFTP directory cannot be written to', async () => {
    const first = await publish('6.1.0-1-amd64');
    // a small file system, and initrds that do not fit into it
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path.join(tftp, 'ltsp')]);
    expect(mounted.status).toBe(0);
    try {
      addKernel(chroot.path, '6.1.0-2-amd64', 'x'.repeat(200_000));
      const result = await build();
      expect(result.kind).toBe('failed');
      expect(result.message).toMatch(
        /^cannot build amd64: cannot write boot files .* MB needed, .* MB free \(make room/,
      );
      expect(fs.readdirSync(path.join(tftp, 'ltsp'))).toEqual([]);
    } finally {
      spawnSync('umount', [path.join(tftp, 'ltsp')]);
    }
    expect(fs.readdirSync(path.join(made.server.images, '.generations/amd64')).sort()).toEqual([
      `${first}.img`,
      `${first}.json`,
      `${first}.manifest`,
    ]);
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
  });

  it('what is live and fails its check takes its boot files back, too', async () => {
    await publish('6.1.0-1-amd64');
    addKernel(chroot.path, '6.1.0-2-amd64');
    await pastNow();
    const job = makeJob(made.site, chroot);
    const journal = Journal.open(made.site.config.paths, { kind: 'rebuild', name: 'amd64', id: job.id });
    const onStep = (step: string, phase: string): void => {
      if (step !== 'check-live' || phase !== 'act') return;
      expect(kernel()).toBe('kernel 6.1.0-2-amd64');
      throw new RejectedError('it is bad');
    };
    const run = runJob({ steps: REBUILD_STEPS, job, site: made.site, journal, signal: job.signal, onStep });
    await expect(run).rejects.toThrow('it is bad');
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
    expect(beside()).toEqual([]);
  });

  it.each(['act', 'done'])('a crash at %s of publish is undone by the next start, boot files included', async (at) => {
    await publish('6.1.0-1-amd64');
    addKernel(chroot.path, '6.1.0-2-amd64');
    await pastNow();
    const job = makeJob(made.site, chroot);
    const journal = Journal.open(made.site.config.paths, { kind: 'rebuild', name: 'amd64', id: job.id });
    const crash = new Error('crash');
    let crashed = false;
    const onStep = (step: string, phase: string): void => {
      // of a program that was killed nothing is undone
      if (crashed || (step === 'publish' && phase === at)) {
        crashed = true;
        throw crash;
      }
    };
    await expect(
      runJob({ steps: REBUILD_STEPS, job, site: made.site, journal, signal: job.signal, onStep }),
    ).rejects.toThrow(crash);
    expect(kernel()).toBe(at === 'done' ? 'kernel 6.1.0-2-amd64' : 'kernel 6.1.0-1-amd64');
    await recoverJobs(made.site);
    expect(kernel()).toBe('kernel 6.1.0-1-amd64');
    expect(beside()).toEqual([]);
    expect(openJournals(made.site.config.paths)).toEqual([]);
  });

  it('a crash after the commit keeps the new boot files, and clears the former ones away', async () => {
    await publish('6.1.0-1-amd64');
    addKernel(chroot.path, '6.1.0-2-amd64');
    await pastNow();
    const job = makeJob(made.site, chroot);
    const journal = Journal.open(made.site.config.paths, { kind: 'rebuild', name: 'amd64', id: job.id });
    // as if it was killed before the former ones went
    const steps = REBUILD_STEPS.map(({ finish: _, ...step }) => step);
    const close = journal.close.bind(journal);
    journal.close = () => journal.leave();
    await runJob({ steps, job, site: made.site, journal, signal: job.signal });
    journal.close = close;
    expect(beside()).toHaveLength(1);
    await recoverJobs(made.site);
    expect(kernel()).toBe('kernel 6.1.0-2-amd64');
    expect(beside()).toEqual([]);
  });
});
