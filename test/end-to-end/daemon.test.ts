import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Daemon, leftovers, listImage, packageEntry, readInImage, Server, writeStatus } from './server.ts';

const QUICK = `
[watch]
quiet = "200ms"
look_every = "1h"
[schedule]
nightly = ""
# mksquashfs can be made to wait or to fail here
[build]
engine = "mksquashfs"
`;

let server: Server;
beforeEach(() => {
  server = new Server();
  server.configure(QUICK);
});
afterEach(async () => {
  const { root } = server;
  await server.remove();
  while (leftovers(root).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

function digest(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

/** Starts the daemon on one small chroot and waits for its first image. */
async function withFirstImage(): Promise<{ chroot: string; image: string; daemon: Daemon }> {
  const chroot = server.makeSmallChroot('amd64');
  const daemon = await server.start();
  await daemon.next('image.published');
  return { chroot, image: server.image('amd64'), daemon };
}

describe('a package changes', () => {
  it('and one image is built, checked and published, with the former one as .old byte for byte', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    const first = digest(image);
    const from = daemon.events.length;
    fs.writeFileSync(path.join(chroot, 'bin/new'), 'a new program\n');
    writeStatus(chroot, packageEntry('base', '1') + packageEntry('new', '1'));
    const published = await daemon.next('image.published', from);
    expect(readInImage(image, 'bin/new')).toBe('a new program\n');
    expect(digest(`${image}.old`)).toBe(first);
    const [amd64] = server.status().chroots;
    expect(amd64).toMatchObject({ name: 'amd64', path: chroot, state: 'current' });
    expect(amd64?.current).toMatchObject({ id: published.id, digest: digest(image), builder: 'mksquashfs' });
    expect(amd64?.previous?.digest).toBe(first);
  });

  it('in a burst of 1,000 events, and one image is built', async () => {
    const { chroot, daemon } = await withFirstImage();
    const from = daemon.events.length;
    for (let count = 0; count < 1000; count += 1) writeStatus(chroot, packageEntry('base', String(count)));
    await daemon.next('image.published', from);
    // what could still come of the burst comes before the answer to a flag file that is touched now
    fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
    await daemon.next('image.unchanged', from);
    expect(daemon.count('build.started', from)).toBe(1);
    expect(daemon.count('image.published', from)).toBe(1);
    expect(readInImage(server.image('amd64'), 'var/lib/dpkg/status')).toContain('Version: 999');
  });

  it('while its image is built, and exactly one more is built', async () => {
    const { chroot, daemon } = await withFirstImage();
    // large enough for the build to be caught at work
    fs.writeFileSync(path.join(chroot, 'etc/large'), Buffer.alloc(60_000_000, 'some text that is not all the same'));
    const from = daemon.events.length;
    writeStatus(chroot, packageEntry('base', '2'));
    await server.buildAtWork('amd64');
    for (const version of ['3', '4']) writeStatus(chroot, packageEntry('base', version));
    // the tree moved while it was read: that image is void, and one more follows
    const first = daemon.events.length;
    await daemon.next('build.started', first);
    await daemon.next('image.published', first);
    fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
    await daemon.next('image.unchanged', first);
    expect(daemon.count('build.started', from)).toBe(2);
    expect(readInImage(server.image('amd64'), 'var/lib/dpkg/status')).toContain('Version: 4');
  });

  it('and is only half done: nothing is built before dpkg has finished it', async () => {
    const { chroot, daemon } = await withFirstImage();
    const from = daemon.events.length;
    writeStatus(chroot, packageEntry('base', '2', 'install ok half-configured'));
    for (;;) {
      const [amd64] = server.status().chroots;
      if (amd64?.state === 'waiting' && amd64.reason.includes('half-configured')) break;
    }
    expect(daemon.count('build.started', from)).toBe(0);
    writeStatus(chroot, packageEntry('base', '2'));
    await daemon.next('image.published', from);
    expect(readInImage(server.image('amd64'), 'var/lib/dpkg/status')).toContain('install ok installed');
  });
});

describe('the flag file', () => {
  it('asks for a look: an edit by hand is built, an unchanged tree is not', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    const before = fs.statSync(image).ino;
    let from = daemon.events.length;
    fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
    await daemon.next('image.unchanged', from);
    expect(fs.statSync(image).ino).toBe(before);
    expect(fs.readdirSync(server.trigger)).toEqual([]);

    from = daemon.events.length;
    fs.writeFileSync(path.join(chroot, 'etc/motd'), 'by hand\n');
    fs.writeFileSync(path.join(server.trigger, 'all'), '');
    await daemon.next('image.published', from);
    expect(readInImage(image, 'etc/motd')).toBe('by hand\n');
  });

  it('with force in it builds a twin, which leaves .old alone', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    let from = daemon.events.length;
    fs.writeFileSync(path.join(chroot, 'etc/motd'), 'second\n');
    fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
    await daemon.next('image.published', from);
    const old = digest(`${image}.old`);
    const current = fs.statSync(image).ino;

    from = daemon.events.length;
    fs.writeFileSync(path.join(server.trigger, 'amd64'), 'force\n');
    await daemon.next('image.published', from);
    expect(fs.statSync(image).ino).not.toBe(current);
    expect(readInImage(image, 'etc/motd')).toBe('second\n');
    expect(digest(`${image}.old`)).toBe(old);
  });

  it('of an unknown name is reported and removed', async () => {
    const { daemon } = await withFirstImage();
    fs.writeFileSync(path.join(server.trigger, 'i386'), '');
    const unknown = await daemon.next('trigger.unknown');
    expect(unknown.msg).toBe('flag file i386 is removed: there is no such chroot');
    expect(fs.readdirSync(server.trigger)).toEqual([]);
  });

  it('touched while the daemon was down counts at its start', async () => {
    const { image, daemon } = await withFirstImage();
    await daemon.stop();
    const before = fs.statSync(image).ino;
    fs.writeFileSync(path.join(server.trigger, 'amd64'), 'force\n');
    const next = await server.start();
    await next.next('image.published');
    expect(fs.statSync(image).ino).not.toBe(before);
  });
});

it('the schedule finds an edit by hand that no event told of', async () => {
  const { chroot, image, daemon } = await withFirstImage();
  fs.writeFileSync(path.join(chroot, 'etc/motd'), 'by hand\n');
  server.configure(`${QUICK.replace('nightly = ""', 'nightly = "* * * * * *"')}`);
  await daemon.next('schedule.run');
  await daemon.next(
    'image.published',
    daemon.events.findIndex(({ event }) => event === 'schedule.run'),
  );
  expect(readInImage(image, 'etc/motd')).toBe('by hand\n');
});

it('what changed while the daemon was down is built at its start', async () => {
  const { chroot, image, daemon } = await withFirstImage();
  expect(await daemon.stop()).toBe(0);
  fs.writeFileSync(path.join(chroot, 'etc/motd'), 'meanwhile\n');
  const next = await server.start();
  await next.next('image.published');
  expect(readInImage(image, 'etc/motd')).toBe('meanwhile\n');
});

it('a breaking change is rejected once, the old image stays live, and the repaired chroot is built', async () => {
  const { chroot, image, daemon } = await withFirstImage();
  const good = digest(image);
  let from = daemon.events.length;
  fs.rmSync(path.join(chroot, 'sbin/init'));
  writeStatus(chroot, packageEntry('base', '2'));
  const rejected = await daemon.next('image.rejected', from);
  const kept = path.join(server.images, '.generations/amd64/rejected.img');
  const what = 'the new image of amd64 was rejected and the old one is live: sbin/init is missing';
  expect(rejected.msg).toBe(`${what} (it is kept as ${kept})`);
  expect(digest(image)).toBe(good);
  expect(fs.existsSync(`${image}.old`)).toBe(false);
  expect(listImage(kept)).not.toContain('/sbin/init');
  expect(server.status().chroots[0]).toMatchObject({ state: 'quarantined', reason: 'sbin/init is missing' });

  // looked at again, by whatever cause, it is not built again
  fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
  const skipped = await daemon.next('build.skipped', from);
  expect(skipped.msg).toContain('these inputs were rejected');
  expect(daemon.count('build.started', from)).toBe(1);
  const build = server.run('build', 'amd64');
  expect(build.status).toBe(3);
  expect(build.stderr).toContain('sbin/init is missing');

  from = daemon.events.length;
  fs.writeFileSync(path.join(chroot, 'sbin/init'), 'repaired\n');
  writeStatus(chroot, packageEntry('base', '3'));
  await daemon.next('image.published', from);
  expect(readInImage(image, 'sbin/init')).toBe('repaired\n');
  expect(digest(`${image}.old`)).toBe(good);
  expect(server.status().chroots[0]).toMatchObject({ state: 'current' });
});

describe('a chroot', () => {
  it('that appears is taken up, one that goes away is dropped, and its images stay', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    const from = daemon.events.length;
    server.makeSmallChroot('i386');
    await daemon.next('image.published', from, 'i386');
    fs.renameSync(chroot, path.join(server.root, 'elsewhere'));
    await daemon.next('chroot.gone', from, 'amd64');
    expect(server.status().chroots.map(({ name, state }) => [name, state])).toEqual([
      ['amd64', 'absent'],
      ['i386', 'current'],
    ]);
    expect(fs.existsSync(image)).toBe(true);
  });

  it('that cannot be built does not keep the others from being built', async () => {
    const broken = server.makeSmallChroot('broken');
    fs.rmSync(path.join(broken, 'sbin/init'));
    server.makeSmallChroot('sound');
    const daemon = await server.start();
    await daemon.next('image.published', 0, 'sound');
    await daemon.next('image.rejected', 0, 'broken');
    expect(fs.existsSync(server.image('broken'))).toBe(false);
    expect(server.status().chroots.map(({ name, state }) => [name, state])).toEqual([
      ['broken', 'quarantined'],
      ['sound', 'current'],
    ]);
  });
});

describe('the config', () => {
  it('is taken up without a restart; an invalid one is refused and status says so', async () => {
    const { image, daemon } = await withFirstImage();
    server.configure('[build]\ncompresion = "zstd"\n');
    const refused = await daemon.next('config.refused');
    expect(refused.msg).toContain('ltsp-autoimage.toml:2');
    expect(server.status().config).toMatchObject({ ok: false, error: expect.stringContaining('compresion') });

    const from = daemon.events.length;
    server.configure(`${QUICK}exclude = ["etc/passwd"]\n[check]\nrequired = []\n`);
    await daemon.next('config.loaded', from);
    await daemon.next('image.published', from);
    expect(listImage(image)).not.toContain('/etc/passwd');
    expect(server.status().config).toEqual({ ok: true });
  });
});

describe('its life', () => {
  it('a second daemon on the same base refuses with the pid of the first', async () => {
    const { daemon } = await withFirstImage();
    const second = server.run('watch');
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`(pid ${daemon.child.pid})`);
  });

  it('SIGTERM in the middle of a build leaves what was live, and nothing of the build', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    const before = digest(image);
    fs.writeFileSync(path.join(chroot, 'etc/large'), Buffer.alloc(200_000_000, 'some text that is not all the same'));
    writeStatus(chroot, packageEntry('base', '2'));
    await server.buildAtWork('amd64');
    expect(await daemon.stop()).toBe(0);
    expect(digest(image)).toBe(before);
    const { generations, others } = files();
    expect(generations).toHaveLength(1);
    expect(others).toEqual([]);
  });

  it('SIGKILL in the middle of a build is cleared up at the next start, which builds', async () => {
    const { chroot, image, daemon } = await withFirstImage();
    const before = digest(image);
    fs.writeFileSync(path.join(chroot, 'etc/large'), Buffer.alloc(100_000_000, 'some text that is not all the same'));
    writeStatus(chroot, packageEntry('base', '2'));
    await server.buildAtWork('amd64');
    await daemon.kill();
    expect(digest(image)).toBe(before);
    const next = await server.start();
    expect(next.count('recovery.done')).toBe(1);
    await next.next('image.published');
    expect(digest(`${image}.old`)).toBe(before);
    expect(files().others).toEqual([]);
  });

  /** What is in the directory of generations beside whole generations. */
  function files(): { generations: string[]; others: string[] } {
    const names = fs.readdirSync(path.join(server.images, '.generations/amd64'));
    const generations = names.filter((name) => name.endsWith('.img'));
    const known = generations.flatMap((name) => ['img', 'json', 'manifest'].map((end) => name.replace(/img$/, end)));
    return { generations, others: names.filter((name) => !known.includes(name)) };
  }
});
