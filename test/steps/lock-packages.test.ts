import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { PackageLock } from '../../src/chroot/package-lock.ts';
import { configOf } from '../../src/config/config.ts';
import { BusyError } from '../../src/errors.ts';
import { lockPackages, releasePackages } from '../../src/steps/lock-packages.ts';
import { makeJob, makeSite, type TestSite } from './site.ts';

let made: TestSite;
let chroot: Chroot;
beforeEach(async () => {
  made = makeSite();
  chroot = await made.makeChroot('amd64');
});

describe('lock-packages', () => {
  it('keeps others off until they are released, which may be done twice', async () => {
    const job = makeJob(made.site, chroot);
    await lockPackages.act(job, await lockPackages.prepare(job));
    expect(() => PackageLock.take(chroot)).toThrow(BusyError);
    releasePackages(job);
    releasePackages(job);
    PackageLock.take(chroot).release();
  });

  it('is busy, with who has them, while another has them', async () => {
    const apt = PackageLock.take(chroot);
    await expect(lockPackages.act(makeJob(made.site, chroot), null)).rejects.toThrow(BusyError);
    apt.release();
  });

  it('takes nothing where build.lock is false', async () => {
    const settings = configOf(made.site.config, 'amd64');
    const job = makeJob(made.site, chroot, { settings: { ...settings, build: { ...settings.build, lock: false } } });
    await lockPackages.act(job, null);
    expect(job.packageLock).toBeNull();
    PackageLock.take(chroot).release();
  });
});
