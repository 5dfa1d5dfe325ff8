import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type BootResult, bootInContainer } from '../../src/checks/boot-container.ts';
import { CancelledError } from '../../src/errors.ts';
import { leftovers } from '../end-to-end/server.ts';
import { bootableImage } from './bootable-image.ts';

let directory: string;
let mountPoint: string;
let good: string;
beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'boot-container-'));
  mountPoint = path.join(directory, 'mnt');
  fs.mkdirSync(mountPoint);
  good = path.join(directory, 'good.img');
  bootableImage(good);
}, 600_000);
afterEach(() => {
  expect(leftovers(directory)).toEqual([]);
  expect(processes()).toEqual([]);
  expect(groups()).toEqual([]);
  expect(fs.readdirSync(mountPoint)).toEqual([]);
});
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

function imageWith(change: string): string {
  const image = path.join(directory, 'changed.img');
  bootableImage(image, change);
  return image;
}

type Options = { timeout?: number; allowed?: string[]; signal?: AbortSignal };

function boot(image: string, { timeout = 60_000, allowed = [], signal }: Options = {}): Promise<BootResult> {
  return bootInContainer({ image, mountPoint, timeout, allowed }, signal ?? new AbortController().signal);
}

/** The command lines that have our directory in them, those of the container's first process among them. */
function processes(): string[] {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  return pids.map(commandLine).filter((line) => line.includes(mountPoint) || line.includes('ltsp-autoimage-boot-'));
}

function commandLine(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

/** Control groups of containers, wherever they are. */
function groups(): string[] {
  const all = fs.readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' });
  return all.filter((group) => path.basename(group).startsWith('ltsp-autoimage-boot-'));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const FAILS = `printf '[Service]\\nExecStart=/bin/sh -c "echo the reason; exit 3"\\n' >etc/systemd/system/bad.service
  ln -s ../bad.service etc/systemd/system/multi-user.target.wants/`;
const HANGS = `printf '[Service]\\nType=oneshot\\nExecStart=/bin/sleep 1000\\n' >etc/systemd/system/slow.service
  ln -s ../slow.service etc/systemd/system/multi-user.target.wants/`;
const LOADER = 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2';

describe('booting an image in a container', () => {
  it('passes a Debian whose default target is reached', async () => {
    expect(await boot(good)).toEqual({ kind: 'passed', what: 'it boots to graphical.target in a container' });
  });

  it('names a unit that fails with what it said, unless it may fail', async () => {
    const image = imageWith(FAILS);
    const result = await boot(image);
    expect(result).toMatchObject({ kind: 'failed', units: ['bad.service'] });
    expect(result).toMatchObject({ why: expect.stringContaining('bad.service failed (the reason;') });
    expect(await boot(image, { allowed: ['other.service', 'b?d.*'] })).toMatchObject({ kind: 'passed' });
  });

  it('names what it waits for when the time is up', async () => {
    const result = await boot(imageWith(HANGS), { timeout: 8_000 });
    expect(result).toMatchObject({ kind: 'failed', units: ['slow.service'] });
    expect(result).toMatchObject({
      why: expect.stringContaining('still starting after 8 s, waiting for slow.service'),
    });
  });

  it.each([
    ['has no ld.so', `rm ${LOADER}`, 'the dynamic linker, ld.so, is missing'],
    ['has an ld.so that is no program', `head -c 9999 /dev/urandom >${LOADER}`, 'corrupted shared library'],
    [
      'has an ld.so with zeroes in it',
      `dd if=/dev/zero of=${LOADER} bs=4k seek=1 count=40 conv=notrunc`,
      'signal SEGV',
    ],
    ['has no libc', 'rm usr/lib/x86_64-linux-gnu/libc.so.6', 'libc.so.6: cannot open shared object file'],
  ])('fails one that %s, and says so', async (_, change, why) => {
    expect(await boot(imageWith(change))).toMatchObject({ kind: 'failed', why: expect.stringContaining(why) });
  });

  it('skips one without systemd', async () => {
    const result = await boot(imageWith('rm usr/lib/systemd/systemd'));
    expect(result).toEqual({ kind: 'skipped', why: 'the image is not booted: the image has no systemd' });
  });

  it('skips one for another architecture', async () => {
    // byte 18 of an ELF file is the machine; 183 is AArch64's
    const change = `printf '\\267' | dd of=usr/lib/systemd/systemd bs=1 seek=18 conv=notrunc`;
    expect(await boot(imageWith(change))).toMatchObject({
      kind: 'skipped',
      why: 'the image is not booted: the image is for another architecture',
    });
  });

  it('ends with its signal', async () => {
    const stop = new AbortController();
    const booting = boot(good, { signal: stop.signal });
    await until(() => processes().some((line) => line.startsWith('systemd-nspawn')));
    stop.abort();
    await expect(booting).rejects.toThrow(CancelledError);
    await until(() => processes().length === 0);
    // empty groups, which the next one takes away
    expect(await boot(good)).toMatchObject({ kind: 'passed' });
  });

  it('leaves no process, mount or loop device when the program is killed, and the next one clears its groups', async () => {
    const child = await start(good);
    await until(() => processes().some((line) => line.startsWith('systemd-nspawn')));
    child.kill('SIGKILL');
    await until(() => processes().length === 0);
    expect(leftovers(directory)).toEqual([]);
    expect(await boot(good)).toMatchObject({ kind: 'passed' });
  });
});

/** Starts a program that does nothing else than boot the image. */
async function start(image: string): Promise<ChildProcess> {
  const entry = path.join(directory, 'entry.ts');
  const call = `bootInContainer(${JSON.stringify({ image, mountPoint, timeout: 60_000, allowed: [] })}, new AbortController().signal)`;
  fs.writeFileSync(
    entry,
    `import { bootInContainer } from ${JSON.stringify(path.resolve('src/checks/boot-container.ts'))};\nvoid ${call};`,
  );
  const outfile = path.join(directory, 'entry.mjs');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    banner: { js: "import { createRequire as r_ } from 'node:module'; const require = r_(import.meta.url);" },
    logLevel: 'error',
  });
  const child = spawn(process.execPath, [outfile], { stdio: 'inherit' });
  await once(child, 'spawn');
  return child;
}
