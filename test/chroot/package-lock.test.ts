import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { lockHolders, PackageLock } from '../../src/chroot/package-lock.ts';
import { BusyError, UserError } from '../../src/errors.ts';
import { lockOwner, tryLock } from '../../src/system/posix.ts';
import { makePackage, realChroot, removeChroot } from '../real-chroot.ts';

describe('in a real Debian chroot', () => {
  let chroot: Chroot;

  beforeAll(async () => {
    chroot = { name: 'amd64', path: await realChroot() };
  });

  afterAll(() => removeChroot(chroot.path));

  test('apt-get and dpkg refuse while the lock is held, and work when it is released', () => {
    const file = makePackage(chroot.path, {
      name: 'hello-lock',
      version: '1',
      files: { '/usr/share/hello-lock': 'x' },
    });
    const lock = PackageLock.take(chroot);
    const apt = inChroot(['apt-get', 'install', '-y', file]);
    const dpkg = inChroot(['dpkg', '-i', file]);
    lock.release();
    expect([apt.status, apt.stderr]).toEqual([100, expect.stringContaining('/var/lib/dpkg/lock-frontend')]);
    expect([dpkg.status, dpkg.stderr]).toEqual([2, expect.stringContaining('lock')]);
    expect(fs.existsSync(path.join(chroot.path, 'usr/share/hello-lock'))).toBe(false);
    expect(inChroot(['apt-get', 'install', '-y', file]).status).toBe(0);
    expect(fs.existsSync(path.join(chroot.path, 'usr/share/hello-lock'))).toBe(true);
  });

  function inChroot(command: readonly string[]): SpawnSyncReturns<string> {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
    return spawnSync('chroot', [chroot.path, ...command], { encoding: 'utf8', env });
  }

  test('while apt-get works, it is named and nothing can be taken', async () => {
    const file = makePackage(chroot.path, { name: 'slow', version: '1', files: { '/DEBIAN/README': 'x' } });
    const [go, ready] = [path.join(chroot.path, 'go'), path.join(chroot.path, 'ready')];
    execFileSync('mkfifo', [go, ready]);
    // apt runs this with its lock held; the two FIFOs make it meet the test
    const hook = 'DPkg::Pre-Install-Pkgs::=echo > /ready; cat /go > /dev/null';
    const child = spawn('chroot', [chroot.path, 'apt-get', 'install', '-y', '-o', hook, file], { stdio: 'ignore' });
    const ended = once(child, 'close');
    await fs.promises.readFile(ready);
    const holders = lockHolders(chroot);
    const taking = (): PackageLock => PackageLock.take(chroot);
    expect(holders).toContain(`apt-get (pid ${child.pid})`);
    expect(taking).toThrow(BusyError);
    expect(taking).toThrow(`cannot lock the packages of amd64: apt-get (pid ${child.pid}) is using them`);
    await fs.promises.writeFile(go, '');
    await ended;
    expect(lockHolders(chroot)).toEqual([]);
    PackageLock.take(chroot).release();
  });
});

test('all locks are taken or none', () => {
  const chroot = lockFiles('var/lib/dpkg', 'var/lib/apt/lists');
  const last = path.join(chroot.path, 'var/lib/apt/lists/lock');
  fs.writeFileSync(last, '');
  const fd = fs.openSync(last, 'r+');
  onTestFinished(() => fs.closeSync(fd));
  expect(tryLock(fd)).toBe(true);
  expect(() => PackageLock.take(chroot)).toThrow(BusyError);
  // one holder alone: had the first two stayed locked, asking would name them as well
  const first = fs.openSync(path.join(chroot.path, 'var/lib/dpkg/lock-frontend'), 'r+');
  onTestFinished(() => fs.closeSync(first));
  expect(lockOwner(first)).toBe(null);
});

test('a lock that another part of this program holds belongs to another program', () => {
  const chroot = lockFiles('var/lib/dpkg');
  const lock = PackageLock.take(chroot);
  expect(lockHolders(chroot)).toEqual(['another program']);
  expect(() => PackageLock.take(chroot)).toThrow('another program is using them');
  lock.release();
  expect(lockHolders(chroot)).toEqual([]);
});

test('asking who holds the locks makes no file', () => {
  const chroot = lockFiles('var/lib/dpkg');
  expect(lockHolders(chroot)).toEqual([]);
  expect(fs.readdirSync(path.join(chroot.path, 'var/lib/dpkg'))).toEqual([]);
});

test('a chroot without dpkg has nothing to lock', () => {
  const chroot = lockFiles();
  PackageLock.take(chroot).release();
  expect(fs.readdirSync(chroot.path)).toEqual([]);
});

test('a symlink in the place of a lock file is not followed out of the chroot', () => {
  const chroot = lockFiles('var/lib/dpkg');
  const outside = path.join(chroot.path, '..', `${path.basename(chroot.path)}.outside`);
  fs.symlinkSync(outside, path.join(chroot.path, 'var/lib/dpkg/lock'));
  expect(() => PackageLock.take(chroot)).toThrow(UserError);
  expect(() => PackageLock.take(chroot)).toThrow('var/lib/dpkg/lock is a symlink');
  expect(() => lockHolders(chroot)).toThrow('var/lib/dpkg/lock is a symlink');
  expect(fs.existsSync(outside)).toBe(false);
});

test('a directory in the chroot that is a link out of it leads to the place inside', () => {
  const chroot = lockFiles('var/lib', 'elsewhere/dpkg');
  fs.symlinkSync('/elsewhere/dpkg', path.join(chroot.path, 'var/lib/dpkg'));
  PackageLock.take(chroot).release();
  expect(fs.readdirSync(path.join(chroot.path, 'elsewhere/dpkg')).sort()).toEqual(['lock', 'lock-frontend']);
});

test('a FIFO in the place of a lock file makes nothing wait', () => {
  const chroot = lockFiles('var/lib/dpkg');
  execFileSync('mkfifo', [path.join(chroot.path, 'var/lib/dpkg/lock')]);
  expect(() => PackageLock.take(chroot)).toThrow('var/lib/dpkg/lock is not a regular file');
});

function lockFiles(...directories: string[]): Chroot {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'package-lock-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  for (const one of directories) fs.mkdirSync(path.join(directory, one), { recursive: true });
  return { name: 'some', path: directory };
}
