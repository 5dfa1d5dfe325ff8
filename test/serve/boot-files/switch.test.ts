import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../../../src/errors.ts';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { asideOf, bootPlan } from '../../../src/serve/boot-files/plan.ts';
import { type Exchange, removeFormer, switchBootDirectory, undoSwitch } from '../../../src/serve/boot-files/switch.ts';
import { exchange } from '../../../src/system/posix.ts';
import {
  addKernel,
  addReferenceKernels,
  type BootSite,
  contentsOf,
  makeBootSite,
  type Prepared,
  prepared,
  REGENERATED,
  removeBootSite,
  visibleIn,
  write,
} from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite();
  addReferenceKernels(site.image);
});
afterEach(() => removeBootSite(site));

const impossible: Exchange = () => {
  throw Object.assign(new Error('EINVAL: renameat2'), { code: 'EINVAL' });
};
const WAYS: [string, Exchange][] = [
  ['by exchange', exchange],
  ['file by file', impossible],
];

async function publish(way: Exchange = exchange): Promise<Prepared> {
  const job = await prepared(site);
  await makeNext(job.plan, job.boot, job.layout);
  switchBootDirectory(job.plan, job.layout, way);
  return job;
}

const REFERENCE = {
  'config-6.1.0-1-amd64': 'config 6.1.0-1-amd64',
  'config-6.1.0-2-amd64': 'config 6.1.0-2-amd64',
  'System.map-6.1.0-1-amd64': 'map 6.1.0-1-amd64',
  'System.map-6.1.0-2-amd64': 'map 6.1.0-2-amd64',
  'initrd.img-6.1.0-1-amd64': 'initrd 6.1.0-1-amd64',
  'initrd.img-6.1.0-2-amd64': 'initrd 6.1.0-2-amd64',
  'initrd.img-amd64': '→ initrd.img-6.1.0-2-amd64',
  'pxelinux.cfg': '/',
  'pxelinux.cfg/default': '→ ltsp',
  'pxelinux.cfg/ltsp': `${REGENERATED}default ltsp\n`,
  'vmlinuz-6.1.0-1-amd64': 'kernel 6.1.0-1-amd64',
  'vmlinuz-6.1.0-2-amd64': 'kernel 6.1.0-2-amd64',
  'vmlinuz-amd64': '→ vmlinuz-6.1.0-2-amd64',
};

it("leaves what LTSP 5's own program leaves for the kernels 6.1.0-1 and 6.1.0-2, where nothing was", async () => {
  const { plan, live } = await publish();
  expect(visibleIn(live)).toEqual(REFERENCE);
  removeFormer(plan);
  expect(fs.readdirSync(path.join(site.tftp, 'ltsp'))).toEqual(['amd64']);
});

it('its plan survives the journal', async () => {
  const { plan } = await prepared(site);
  expect(bootPlan.parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
});

it('keeps mode and time of files, readable for all, and leaves setuid bits and foreign owners behind', async () => {
  const file = path.join(site.image, 'boot/vmlinuz-6.1.0-1-amd64');
  fs.chmodSync(file, 0o6722);
  fs.chownSync(file, 1000, 1000);
  fs.chmodSync(file, 0o6722);
  fs.utimesSync(file, 1_000_000, 1_000_000);
  fs.chmodSync(path.join(site.image, 'boot/vmlinuz-6.1.0-2-amd64'), 0o600);
  fs.chmodSync(path.join(site.image, 'boot/pxelinux.cfg'), 0o700);
  const former = process.umask(0o077);
  try {
    const { live } = await publish();
    const mode = (name: string): number => fs.statSync(path.join(live, name)).mode & 0o7777;
    expect(mode('vmlinuz-6.1.0-1-amd64')).toBe(0o744);
    expect(mode('vmlinuz-6.1.0-2-amd64')).toBe(0o644);
    expect(mode('pxelinux.cfg')).toBe(0o755);
    expect(mode('.')).toBe(0o755);
    expect(mode('..')).toBe(0o755);
    expect(fs.statSync(path.join(live, 'vmlinuz-6.1.0-1-amd64'))).toMatchObject({ uid: 0, gid: 0, mtimeMs: 1e9 });
  } finally {
    process.umask(former);
  }
});

it('nothing of a file that boot/ only links to is served', async () => {
  write(site.image, { 'etc/shadow': 'root:secret' });
  for (const name of ['vmlinuz', 'initrd.img-amd64', 'pxelinux.cfg/default']) {
    fs.symlinkSync('/etc/shadow', path.join(site.image, 'boot', name));
  }
  const { live } = await publish();
  expect(visibleIn(live)).toEqual(REFERENCE);
});

describe.each(WAYS)('switched %s', (_, way) => {
  it('the directory has the new kernels, and undo brings back the former ones', async () => {
    const first = await publish(way);
    removeFormer(first.plan);
    const before = contentsOf(site.tftp);
    addKernel(site.image, '6.1.0-3-amd64');
    for (const name of ['boot/vmlinuz', 'boot/initrd.img', 'boot/config', 'boot/System.map']) {
      fs.rmSync(path.join(site.image, `${name}-6.1.0-1-amd64`));
    }
    write(site.image, { 'boot/initrd.img-6.1.0-2-amd64': 'initrd made anew' });
    const { plan, live } = await publish(way);
    const after = visibleIn(live);
    expect(after).toMatchObject({
      'vmlinuz-amd64': '→ vmlinuz-6.1.0-3-amd64',
      'initrd.img-amd64': '→ initrd.img-6.1.0-3-amd64',
      'initrd.img-6.1.0-2-amd64': 'initrd made anew',
    });
    undoSwitch(plan, way);
    expect(contentsOf(site.tftp)).toEqual(before);
    undoSwitch(plan, way);
    expect(contentsOf(site.tftp)).toEqual(before);
  });

  it('kernels that the image has no more are gone with the former directory', async () => {
    await publish(way);
    for (const name of ['vmlinuz', 'initrd.img', 'config', 'System.map']) {
      fs.rmSync(path.join(site.image, `boot/${name}-6.1.0-1-amd64`));
    }
    const { plan, live } = await publish(way);
    removeFormer(plan);
    expect(visibleIn(live)).toEqual(
      Object.fromEntries(Object.entries(REFERENCE).filter(([name]) => !name.includes('6.1.0-1'))),
    );
    removeFormer(plan);
    expect(fs.readdirSync(path.join(site.tftp, 'ltsp'))).toEqual(['amd64']);
  });

  it("the admin's own files are there afterwards, as the same files, with mode and owner of directories", async () => {
    await publish(way);
    const live = path.join(site.tftp, 'ltsp/amd64');
    write(live, {
      'lts.conf': 'XKBLAYOUT=de',
      'mine/deep/file': 'x',
      'mine/empty/': '',
      'pxelinux.cfg/01-aa-bb': 'mac',
    });
    fs.symlinkSync('/srv/elsewhere', path.join(live, 'link'));
    fs.chmodSync(path.join(live, 'mine'), 0o2750);
    fs.chownSync(path.join(live, 'mine'), 0, 65534);
    fs.chmodSync(path.join(live, 'mine'), 0o2750);
    fs.chmodSync(live, 0o775);
    const inode = fs.statSync(path.join(live, 'lts.conf')).ino;
    const { plan } = await publish(way);
    removeFormer(plan);
    expect(visibleIn(live)).toEqual({
      ...REFERENCE,
      'lts.conf': 'XKBLAYOUT=de',
      link: '→ /srv/elsewhere',
      mine: '/',
      'mine/deep': '/',
      'mine/deep/file': 'x',
      'mine/empty': '/',
      'pxelinux.cfg/01-aa-bb': 'mac',
    });
    expect(fs.statSync(path.join(live, 'lts.conf')).ino).toBe(inode);
    expect(fs.statSync(path.join(live, 'mine'))).toMatchObject({ gid: 65534, mode: 0o42750 });
    expect(fs.statSync(live).mode & 0o7777).toBe(0o775);
    expect(fs.readdirSync(path.join(site.tftp, 'ltsp'))).toEqual(['amd64']);
  });

  it('a directory of LTSP itself is taken over: kernels without modules go, what else is in it stays, undo gives it back', async () => {
    const live = path.join(site.tftp, 'ltsp/amd64');
    write(live, {
      'vmlinuz-5.10.0-1-amd64': 'old',
      'initrd.img-5.10.0-1-amd64': 'old',
      'config-5.10.0-1-amd64': 'old',
      'vmlinuz-6.1.0-1-amd64': 'older copy',
      'initrd.img-5.9.0-1-686': 'left alone by its kernel',
      'lts.conf': 'x',
      'memtest86+': 'x',
      'pxelinux.cfg/default': REGENERATED,
    });
    fs.symlinkSync('vmlinuz-5.10.0-1-amd64', path.join(live, 'vmlinuz-amd64'));
    fs.symlinkSync('vmlinuz-5.9.0-1-686', path.join(live, 'vmlinuz-686'));
    const before = contentsOf(site.tftp);
    const job = await prepared(site);
    await makeNext(job.plan, job.boot, job.layout);
    const { dropped } = switchBootDirectory(job.plan, job.layout, way);
    expect(visibleIn(live)).toMatchObject({ ...REFERENCE, 'lts.conf': 'x', 'memtest86+': 'x' });
    expect(dropped.sort()).toEqual([
      'config-5.10.0-1-amd64',
      'initrd.img-5.10.0-1-amd64',
      'initrd.img-5.9.0-1-686',
      'vmlinuz-5.10.0-1-amd64',
      'vmlinuz-686',
    ]);
    undoSwitch(job.plan, way);
    expect(contentsOf(site.tftp)).toEqual(before);
    const { plan } = await publish(way);
    removeFormer(plan);
    expect(visibleIn(live)).toEqual({ ...REFERENCE, 'lts.conf': 'x', 'memtest86+': 'x' });
  });

  it("the admin's pxelinux.cfg/default stays, also when it takes the place of our link later", async () => {
    await publish(way);
    const live = path.join(site.tftp, 'ltsp/amd64');
    fs.rmSync(path.join(live, 'pxelinux.cfg/default'));
    write(live, { 'pxelinux.cfg/default': 'default mine\n' });
    await publish(way);
    expect(visibleIn(live)).toEqual({ ...REFERENCE, 'pxelinux.cfg/default': 'default mine\n' });
  });

  it('our link pxelinux.cfg/default goes when the image has no pxelinux.cfg/ltsp any more', async () => {
    await publish(way);
    fs.rmSync(path.join(site.image, 'boot/pxelinux.cfg'), { recursive: true });
    const { plan, live } = await publish(way);
    removeFormer(plan);
    expect(Object.keys(visibleIn(live)).filter((name) => name.startsWith('pxelinux.cfg'))).toEqual([]);
  });

  it('what the admin saves between switch and undo stays', async () => {
    const live = path.join(site.tftp, 'ltsp/amd64');
    write(live, { 'lts.conf': 'one', other: 'one' });
    const { plan } = await publish(way);
    // as editors do it, and as others do
    fs.writeFileSync(path.join(live, 'lts.conf~'), 'two');
    fs.renameSync(path.join(live, 'lts.conf~'), path.join(live, 'lts.conf'));
    fs.writeFileSync(path.join(live, 'other'), 'two');
    write(live, { 'new/file': 'new' });
    undoSwitch(plan, way);
    expect(contentsOf(live)).toEqual({ 'lts.conf': 'two', other: 'two', new: '/', 'new/file': 'new' });
  });

  it('a directory in the place of a file, and the other way round, are replaced', async () => {
    write(site.image, { 'boot/a': 'file', 'boot/b/c': 'x' });
    await publish(way);
    fs.rmSync(path.join(site.image, 'boot/a'));
    fs.rmSync(path.join(site.image, 'boot/b'), { recursive: true });
    write(site.image, { 'boot/a/c': 'x', 'boot/b': 'file' });
    const { live } = await publish(way);
    expect(visibleIn(live)).toMatchObject({ 'a/c': 'x', b: 'file' });
  });

  it('yaboot is linked at the top until undo, a file of the admin there stays', async () => {
    write(site.image, { 'boot/yaboot': 'y', 'boot/yaboot.conf': 'c' });
    write(site.tftp, { yaboot: 'mine', 'ltsp/amd64/': '' });
    fs.symlinkSync('elsewhere', path.join(site.tftp, 'yaboot.conf'));
    const { plan } = await publish(way);
    expect(fs.readFileSync(path.join(site.tftp, 'yaboot'), 'utf8')).toBe('mine');
    expect(fs.readlinkSync(path.join(site.tftp, 'yaboot.conf'))).toBe('ltsp/amd64/yaboot.conf');
    undoSwitch(plan, way);
    expect(fs.readlinkSync(path.join(site.tftp, 'yaboot.conf'))).toBe('elsewhere');
  });
});

describe('switched file by file, what only the former directory had', () => {
  const OLD = { 'vmlinuz-5.10.0-1-amd64': 'old', 'initrd.img-5.10.0-1-amd64': 'old' };
  const live = (): string => path.join(site.tftp, 'ltsp/amd64');
  beforeEach(() => write(live(), OLD));

  it('stays until removeFormer, for a client that has just read a link to it', async () => {
    const { plan } = await publish(impossible);
    expect(visibleIn(live())).toEqual({ ...REFERENCE, ...OLD });
    removeFormer(plan);
    expect(visibleIn(live())).toEqual(REFERENCE);
  });

  it.each(WAYS)('is gone after the next switch %s, where a crash kept removeFormer away', async (_, next) => {
    await publish(impossible);
    const { plan } = await publish(next);
    undoSwitch(plan, next);
    expect(visibleIn(live())).toEqual({ ...REFERENCE, ...OLD });
    const job = await prepared(site);
    await makeNext(job.plan, job.boot, job.layout);
    expect(switchBootDirectory(job.plan, job.layout, next).dropped).toEqual([]);
    removeFormer(job.plan);
    expect(visibleIn(live())).toEqual(REFERENCE);
  });

  it("is the admin's own as soon as somebody puts a file of that name there", async () => {
    const { plan } = await publish(impossible);
    write(live(), { 'vmlinuz-5.10.0-1-amd64~': 'mine' });
    fs.renameSync(path.join(live(), 'vmlinuz-5.10.0-1-amd64~'), path.join(live(), 'vmlinuz-5.10.0-1-amd64'));
    removeFormer(plan);
    write(live(), { 'initrd.img-5.10.0-1-amd64': 'mine too' });
    expect(visibleIn(live())).toEqual({
      ...REFERENCE,
      ...{ 'vmlinuz-5.10.0-1-amd64': 'mine', 'initrd.img-5.10.0-1-amd64': 'mine too' },
    });
    // kernels without modules stay away all the same when the next directory takes its place
    write(site.image, { 'lib/modules/5.10.0-1-amd64/modules.dep': '' });
    removeFormer((await publish(impossible)).plan);
    expect(visibleIn(live())).toMatchObject({ 'vmlinuz-5.10.0-1-amd64': 'mine' });
  });
});

it('a file that the admin saves in the last moment before the exchange is in the new directory', async () => {
  const live = path.join(site.tftp, 'ltsp/amd64');
  write(live, { 'lts.conf': 'one' });
  await publish((one, other) => {
    write(live, { 'lts.conf~': 'two', late: 'x' });
    fs.renameSync(path.join(live, 'lts.conf~'), path.join(live, 'lts.conf'));
    exchange(one, other);
  });
  expect(visibleIn(live)).toEqual({ ...REFERENCE, 'lts.conf': 'two', late: 'x' });
});

it('undo of the first switch leaves nothing, not even the directories above', async () => {
  const { plan } = await publish();
  undoSwitch(plan);
  expect(contentsOf(site.tftp)).toEqual({});
  undoSwitch(plan);
  expect(contentsOf(site.tftp)).toEqual({});
});

it('undo of the first switch keeps what the admin has put there since', async () => {
  const { plan, live } = await publish();
  write(live, { 'lts.conf': 'x', 'pxelinux.cfg/01-aa': 'mac' });
  undoSwitch(plan);
  expect(contentsOf(live)).toEqual({ 'lts.conf': 'x', 'pxelinux.cfg': '/', 'pxelinux.cfg/01-aa': 'mac' });
});

it('undo says that the former directory is gone instead of serving nothing', async () => {
  await publish();
  const { plan, live } = await publish();
  const after = contentsOf(live);
  removeFormer(plan);
  expect(() => undoSwitch(plan)).toThrow(/^cannot bring back .*amd64: .*\.amd64\.boot-.* is gone$/);
  expect(contentsOf(live)).toEqual(after);
});

it('the next run clears what a crash left beside the directory, and nothing else', async () => {
  write(site.tftp, {
    'ltsp/.amd64.boot-0123456789ab/vmlinuz': '',
    'ltsp/.amd64.boot-mine/x': '',
    'ltsp/amd64-x/y': '',
  });
  write(site.tftp, { 'ltsp/.amd64.boot-0123456789ab.saved.partial/vmlinuz': '' });
  await publish();
  expect(fs.readdirSync(path.join(site.tftp, 'ltsp')).sort()).toEqual(['.amd64.boot-mine', 'amd64', 'amd64-x']);
});

it('a job that is stopped leaves nothing beside the directory', async () => {
  const { plan, boot, layout } = await prepared(site);
  await expect(makeNext(plan, boot, layout, AbortSignal.abort())).rejects.toThrow('writing boot files was stopped');
  expect(contentsOf(site.tftp)).toEqual({});
});

it('a mount point is switched file by file', async () => {
  const live = path.join(site.tftp, 'ltsp/amd64');
  write(live, {});
  fs.mkdirSync(live, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', live]);
  try {
    write(live, { 'lts.conf': 'x' });
    const job = await prepared(site);
    await makeNext(job.plan, job.boot, job.layout);
    expect(switchBootDirectory(job.plan, job.layout).how).toBe('piecewise');
    expect(visibleIn(live)).toEqual({ ...REFERENCE, 'lts.conf': 'x' });
    undoSwitch(job.plan);
    expect(contentsOf(live)).toEqual({ 'lts.conf': 'x' });
    // what is saved is a copy there, not a hard link
    write(live, { 'vmlinuz-5.10.0-1-amd64': 'old' });
    fs.symlinkSync('vmlinuz-5.10.0-1-amd64', path.join(live, 'vmlinuz-686'));
    removeFormer((await publish()).plan);
    expect(visibleIn(live)).toEqual({ ...REFERENCE, 'lts.conf': 'x' });
  } finally {
    execFileSync('umount', [live]);
  }
});

describe('a TFTP directory that', () => {
  const mounted = async (options: string, run: () => Promise<void>): Promise<void> => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', site.tftp]);
    try {
      await run();
    } finally {
      execFileSync('umount', [site.tftp]);
    }
  };
  const failure = async ({ plan, boot, layout }: Prepared): Promise<unknown> =>
    makeNext(plan, boot, layout).catch((error: unknown) => error);

  it('is too small is left as it was, with what is needed and free', async () => {
    await mounted('size=1m', async () => {
      await publish();
      const before = contentsOf(site.tftp);
      write(site.image, { 'boot/initrd.img-6.1.0-2-amd64': 'x'.repeat(2_000_000) });
      const error = await failure(await prepared(site));
      expect(error).toBeInstanceOf(UserError);
      expect(error).toHaveProperty(
        'message',
        expect.stringMatching(/^cannot write boot files into .*: 3 MB needed, \d MB free/),
      );
      expect(contentsOf(site.tftp)).toEqual(before);
    });
  });

  it('becomes full is left as it was', async () => {
    // room for the data, but not for so many names
    await mounted('size=4m,nr_inodes=40', async () => {
      const first = await publish();
      removeFormer(first.plan);
      const before = contentsOf(site.tftp);
      for (let i = 0; i < 40; i++) write(site.image, { [`boot/many/${i}`]: '' });
      const error = await failure(await prepared(site));
      expect(error).toBeInstanceOf(UserError);
      expect(error).toHaveProperty(
        'message',
        expect.stringMatching(/: the file system of .* is full \(make room there\)$/),
      );
      expect(contentsOf(site.tftp)).toEqual(before);
    });
  });

  it('becomes full while the next directory takes its place is left as it was by undo', async () => {
    await mounted('size=4m,nr_inodes=60', async () => {
      const live = path.join(site.tftp, 'ltsp/amd64');
      for (let i = 0; i < 30; i++) write(live, { [`own/${i}`]: 'x' });
      const before = contentsOf(site.tftp);
      const job = await prepared(site);
      await makeNext(job.plan, job.boot, job.layout);
      // names cost inodes too: 31 for the admin's own files are not left
      expect(() => switchBootDirectory(job.plan, job.layout)).toThrow('is full (make room there)');
      undoSwitch(job.plan);
      expect(contentsOf(site.tftp)).toEqual(before);
    });
  });

  it('is read-only is left as it was', async () => {
    await mounted('size=4m', async () => {
      await publish();
      const job = await prepared(site);
      const before = contentsOf(site.tftp);
      execFileSync('mount', ['-o', 'remount,ro', site.tftp]);
      const error = await failure(job);
      expect(error).toBeInstanceOf(UserError);
      expect(error).toHaveProperty(
        'message',
        expect.stringContaining('is on a read-only file system (mount it writable'),
      );
      undoSwitch(job.plan);
      expect(contentsOf(site.tftp)).toEqual(before);
      expect(asideOf(job.plan)).not.toSatisfy(fs.existsSync);
    });
  });
});
