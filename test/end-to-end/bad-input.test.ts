import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { leftovers, packageEntry, program, readInImage, Server, writeStatus } from './server.ts';

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

/** A chroot with an image, in which something has changed since. */
function withDueBuild(): { chroot: string; image: string; before: string } {
  const chroot = server.makeSmallChroot('amd64');
  expect(server.run('build').status).toBe(0);
  fs.writeFileSync(path.join(chroot, 'etc/motd'), 'second\n');
  const image = server.image('amd64');
  return { chroot, image, before: digest(image) };
}

/** A build that has to fail with this message; what was live stays, nothing of it is left. */
function expectFailure(message: string | RegExp, image: string, before: string): void {
  const { status, stderr } = server.run('build', 'amd64');
  expect(stderr).toMatch(message);
  expect(stderr).not.toContain('internal error');
  expect(status).toBe(1);
  expect(digest(image)).toBe(before);
  expect(partialFiles('amd64')).toEqual([]);
}

function partialFiles(name: string): string[] {
  return fs.readdirSync(path.join(server.images, '.generations', name)).filter((file) => file.includes('.partial'));
}

describe('a chroot', () => {
  it('without dpkg is built all the same', () => {
    const chroot = server.makeSmallChroot('amd64');
    fs.rmSync(path.join(chroot, 'var'), { recursive: true });
    expect(server.run('build', 'amd64').status).toBe(0);
    expect(server.status().chroots[0]?.state).toBe('current');
  });

  it('that is an empty directory, or a link that leads nowhere, is none, and says why when it is asked for', () => {
    fs.mkdirSync(path.join(server.base, 'empty'));
    fs.symlinkSync('nowhere', path.join(server.base, 'dangling'));
    server.makeSmallChroot('amd64');
    const empty = server.run('build', 'empty');
    expect(empty.status).toBe(2);
    expect(empty.stderr).toContain(`no chroot empty (${server.base}/empty has no bin/true; there are amd64)`);
    const dangling = server.run('build', 'dangling');
    expect(dangling.status).toBe(2);
    expect(dangling.stderr).toContain('dangling is a link that leads nowhere');
    expect(server.run('build', '--all').status).toBe(0);
    expect(server.status().chroots.map(({ name }) => name)).toEqual(['amd64']);
  });

  it('whose dpkg files are not what they should be waits with a reason; the daemon goes on with the others', async () => {
    const odd = server.makeSmallChroot('odd');
    fs.symlinkSync('/etc/passwd', path.join(odd, 'var/lib/dpkg/lock'));
    const sound = server.makeSmallChroot('sound');
    const daemon = await server.start();
    await daemon.next('image.published', 0, 'sound');
    await daemon.next('build.failed', 0, 'odd');
    const why = 'cannot lock the packages of odd: var/lib/dpkg/lock is a symlink';
    expect(server.status().chroots[0]).toMatchObject({ state: 'waiting', reason: expect.stringContaining(why) });
    const from = daemon.events.length;
    writeStatus(sound, packageEntry('base', '2'));
    await daemon.next('image.published', from, 'sound');
    const asked = server.run('build', 'odd');
    expect(asked.status).toBe(1);
    expect(asked.stderr).toContain(why);
  });

  it('that vanishes in the middle of a build fails alone, its image stays, and it is taken up when it is back', async () => {
    const aside = path.join(server.root, 'aside');
    const chroot = server.makeSmallChroot('gone');
    const other = server.makeSmallChroot('other');
    const daemon = await server.start();
    await daemon.next('image.published', 0, 'gone');
    await daemon.next('image.published', 0, 'other');
    await daemon.stop();
    const before = digest(server.image('gone'));
    const mksquashfs = server.holdMksquashfs();
    const next = await server.start();
    await next.next('image.unchanged', 0, 'gone');
    await next.next('image.unchanged', 0, 'other');
    writeStatus(chroot, packageEntry('base', '2'));
    await server.buildAtWork('gone');
    fs.renameSync(chroot, aside);
    mksquashfs.letGo();
    await next.next('chroot.gone', 0, 'gone');
    writeStatus(other, packageEntry('base', '2'));
    await next.next('image.published', 0, 'other');
    expect(digest(server.image('gone'))).toBe(before);
    expect(partialFiles('gone')).toEqual([]);
    expect(server.status().chroots.map(({ name, state }) => [name, state])).toEqual([
      ['gone', 'absent'],
      ['other', 'current'],
    ]);
    fs.renameSync(aside, chroot);
    await next.next('image.published', 0, 'gone');
    expect(readInImage(server.image('gone'), 'var/lib/dpkg/status')).toContain('Version: 2');
  });

  it('that changes while it is read is read three times at most, and again until it stands still', () => {
    const { image, before } = withDueBuild();
    server.fakeMksquashfs('echo run >>"$ROOT/runs"; "$REAL" "$@" && echo more >>"$1/etc/passwd"');
    const runs = (): number => fs.readFileSync(path.join(server.root, 'runs'), 'utf8').split('\n').length - 1;
    expectFailure(/the chroot changed while it was read \(.*etc\/passwd.*\), 3 times in a row/, image, before);
    expect(runs()).toBe(3);

    server.fakeMksquashfs(
      '"$REAL" "$@" && [ -e "$ROOT/still" ] || { touch "$ROOT/still"; echo last >>"$1/etc/passwd"; }',
    );
    const { status, stderr } = server.run('build', 'amd64');
    expect(status, stderr).toBe(0);
    expect(readInImage(image, 'etc/passwd')).toMatch(/last\n$/);
    expect(server.run('history', 'amd64').stdout).toContain('void');
  });
});

describe('mksquashfs', () => {
  it('that is not installed is named, with the package that brings it', () => {
    const { image, before } = withDueBuild();
    const directory = path.join(server.root, 'bin-without');
    fs.mkdirSync(directory);
    for (const program of ['setpriv', 'unshare', 'nice', 'ionice', 'mount', 'umount', 'dpkg']) {
      fs.symlinkSync(execFileSync('which', [program], { encoding: 'utf8' }).trim(), path.join(directory, program));
    }
    server.env = { ...process.env, PATH: directory };
    const message = 'cannot build amd64: cannot run mksquashfs: it is not installed (apt-get install squashfs-tools)\n';
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toContain(message);
    expect(status).toBe(1);
    expect(digest(image)).toBe(before);
    expect(partialFiles('amd64')).toEqual([]);
  });

  it('that is killed leaves nothing of its file, and is told', async () => {
    const { image, before } = withDueBuild();
    server.holdMksquashfs();
    const building = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    process.kill(pidOfFake(), 'SIGKILL');
    const { status, stderr } = await building.ended;
    expect(stderr).toContain('cannot build amd64: cannot finish mksquashfs: ');
    expect(status).toBe(1);
    expect(digest(image)).toBe(before);
    expect(partialFiles('amd64')).toEqual([]);
  });

  it('that fails leaves nothing of its file, and what it said is told', () => {
    const { chroot, image, before } = withDueBuild();
    const recording = `printf '%s\\n' "$@" >"$ROOT/argv"`;
    server.fakeMksquashfs(`${recording}; echo half >"$2"; echo "FATAL ERROR: no" >&2; exit 1`);
    expectFailure(/cannot build amd64: cannot finish mksquashfs: .*status 1: FATAL ERROR: no/, image, before);
    const argv = fs.readFileSync(path.join(server.root, 'argv'), 'utf8').split('\n');
    expect(argv[0]).toBe(chroot);
    expect(argv).toContain('-no-recovery');
  });

  /** The shell that plays mksquashfs. */
  function pidOfFake(): number {
    const fake = path.join(server.root, 'fake-bin/mksquashfs');
    const found = fs.readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`/bin/sh\0${fake}\0`);
      } catch {
        return false;
      }
    });
    expect(found).toHaveLength(1);
    return Number(found[0]);
  }

  it('that claims success and leaves a damaged image is found out', () => {
    const { image, before } = withDueBuild();
    server.fakeMksquashfs('"$REAL" "$@" -e etc/motd');
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toContain('the image is not what the chroot was: ');
    expect(status).toBe(3);
    expect(digest(image)).toBe(before);
  });
});

describe('the images directory', () => {
  it('on a full disk: the room is missed before, with name, needed and free', () => {
    server.makeSmallChroot('amd64');
    fs.mkdirSync(server.images);
    const { status, stdout, stderr } = server.runScript(`
      mount -t tmpfs -o size=1m images '${server.images}'
      ltsp build amd64 || echo "status $?"
      find '${server.images}' -name '*.partial*' -o -name '*.img'
    `);
    expect(status).toBe(0);
    expect(stderr).toMatch(/cannot build amd64: about 4 MB needed in .*images, 1 MB free \(make room there/);
    expect(stdout).toBe('status 1\n');
  });

  it('that fills up in the middle of a build: the part of the image is removed, and the old one stays', () => {
    const chroot = server.makeSmallChroot('amd64');
    fs.writeFileSync(path.join(server.root, 'random'), randomBytes(12_000_000));
    fs.mkdirSync(server.images);
    const { status, stdout, stderr } = server.runScript(`
      mount -t tmpfs -o size=8m images '${server.images}'
      ltsp build amd64 >/dev/null 2>&1
      sha256sum '${server.image('amd64')}' >before
      cp random '${chroot}/etc/random'
      ltsp build amd64 || echo "status $?"
      sha256sum --check --quiet before
      find '${server.images}' -name '*.partial*' -o -name 'rejected*'
      ls '${server.images}/.generations/amd64' | wc -l
    `);
    expect(stderr).toMatch(/cannot build amd64: cannot finish mksquashfs: .*No space left on device/);
    expect(stdout).toBe('status 1\n3\n');
    expect(status).toBe(0);
  });

  it('that cannot be written is named; status still answers', () => {
    const { image, before } = withDueBuild();
    const { stdout, stderr, status } = server.runScript(`
      mount --bind '${server.images}' '${server.images}'
      mount -o remount,ro,bind '${server.images}'
      ltsp build amd64 || echo "status $?"
      ltsp status
    `);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^ltsp-autoimage: cannot write to .*images: .*read-only file system/);
    expect(stdout).toContain('status 1\n');
    expect(stdout).toContain('The image of amd64 is current');
    expect(digest(image)).toBe(before);
  });

  it('that this user may not write is named, with what to do', () => {
    const { image, before } = withDueBuild();
    fs.chmodSync(server.root, 0o755);
    const { status, stdout, stderr } = server.runScript(`
      setpriv --reuid 65534 --regid 65534 --clear-groups sh -c \
        "'${process.execPath}' '${program}' build amd64 '--root=${server.root}'" || echo "status $?"
    `);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^ltsp-autoimage: cannot write to .*images: EACCES: .* \(run as root\)\n$/);
    expect(stdout).toBe('status 1\n');
    expect(digest(image)).toBe(before);
  });

  it('on another file system than the generations: that is said, and what was live stays', () => {
    const { image, before } = withDueBuild();
    const { stdout, stderr, status } = server.runScript(`
      mount -t tmpfs generations '${server.images}/.generations'
      ltsp build amd64 || echo "status $?"
      find '${server.images}/.generations' -type f
    `);
    expect(status).toBe(0);
    expect(stderr).toContain(`${server.images}/.generations must be on the file system of ${server.images}`);
    expect(stdout).toBe('status 1\n');
    expect(digest(image)).toBe(before);
  });

  it.each([
    ['a directory', (file: string) => fs.mkdirSync(file)],
    ['a symbolic link', (file: string) => fs.symlinkSync('/etc/passwd', file)],
  ])('with NAME.img as %s: that chroot says so, the others are built and have their status', async (what, make) => {
    server.makeSmallChroot('bad');
    server.makeSmallChroot('good');
    fs.mkdirSync(server.images);
    make(server.image('bad'));
    const why = `cannot use ${server.image('bad')}: it is ${what} (put the image file itself there, or remove it)`;
    const { status, stdout, stderr } = server.run('build', '--all');
    expect(status).toBe(1);
    expect(stderr).toContain(why);
    expect(stdout).toMatch(/^good: image .* is live/);
    const daemon = await server.start();
    await daemon.next('image.unchanged', 0, 'good');
    await daemon.next('build.failed', 0, 'bad');
    const { chroots } = server.status();
    expect(chroots).toMatchObject([
      { name: 'bad', state: 'waiting', reason: why, current: null },
      { name: 'good', state: 'current' },
    ]);
  });
});

describe('the base directory', () => {
  it('that is missing is named and not made: build ends with 1, status says that there is no chroot', () => {
    fs.rmSync(server.base, { recursive: true });
    const { status, stderr } = server.run('build');
    expect(status).toBe(1);
    expect(stderr).toContain(`cannot look for chroots in ${server.base}: it does not exist`);
    expect(server.run('build', 'amd64').status).toBe(2);
    expect(server.run('status').stdout).toContain('There is no chroot to make an image of.');
    expect(fs.existsSync(server.base)).toBe(false);
  });

  it('that comes while the daemon runs is looked after', async () => {
    fs.rmSync(server.base, { recursive: true });
    const daemon = await server.start();
    server.makeSmallChroot('amd64');
    await daemon.next('image.published', 0, 'amd64');
  });

  it('with a chroot in the config that is not there: the others are built, and it is named', () => {
    server.configure(`chroots = ["/srv/nowhere"]\n${QUICK}`);
    server.makeSmallChroot('amd64');
    const { status, stdout, stderr } = server.run('build');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^amd64: image .* is live/);
    expect(stderr).toContain(`cannot use the chroot ${server.root}/srv/nowhere: it does not exist`);
  });
});
