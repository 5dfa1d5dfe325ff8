import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { statusSchema } from '../../src/report/status.ts';
import { historyEntry } from '../../src/store/history.ts';
import { leftovers, listImage, packageEntry, program, readInImage, Server, writeStatus } from './server.ts';

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

/** Runs a command that has to succeed. */
function done(...args: string[]): string {
  const { status, stdout, stderr } = server.run(...args);
  expect(stderr + stdout, args.join(' ')).not.toContain('internal error');
  expect(status, stderr).toBe(0);
  return stdout;
}

function edit(chroot: string, text: string): void {
  fs.writeFileSync(path.join(chroot, 'etc/motd'), text);
}

/** A chroot with a current image and a previous one, whose etc/motd is `second` and not there. */
function withTwoImages(): { chroot: string; image: string; first: string; second: string } {
  const chroot = server.makeSmallChroot('amd64');
  const image = server.image('amd64');
  done('build', 'amd64');
  edit(chroot, 'second\n');
  done('build', 'amd64');
  return { chroot, image, first: digest(`${image}.old`), second: digest(image) };
}

/** Everything below the images directory: name, inode and size of each file. The lock's note aside. */
function filesOfImages(): string[] {
  const entries = fs.readdirSync(server.images, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name !== '.lock');
  return files.map((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    const { ino, size } = fs.statSync(file);
    return `${file} ${ino} ${size}`;
  });
}

describe('build', () => {
  it('by name, by path and of all chroots; what is unchanged is left as it is', () => {
    const chroot = server.makeSmallChroot('amd64');
    server.makeSmallChroot('i386');
    expect(done('build', 'amd64')).toMatch(/^amd64: image \d{8}T\d{6}Z is live \(there is no image yet\)\n$/);
    expect(fs.existsSync(server.image('i386'))).toBe(false);
    const before = filesOfImages();
    expect(done('build', chroot)).toMatch(/^amd64: nothing changed since /);
    expect(filesOfImages()).toEqual(before);
    expect(done('build', '--all').split('\n')).toEqual([
      expect.stringMatching(/^amd64: nothing changed/),
      expect.stringMatching(/^i386: image .* is live/),
      '',
    ]);
    edit(chroot, 'by a relative path\n');
    const relative = [program, 'build', `--root=${server.root}`, 'ltsp/amd64/'];
    const { status } = spawnSync(process.execPath, relative, { cwd: path.dirname(server.base) });
    expect(status).toBe(0);
    expect(readInImage(server.image('amd64'), 'etc/motd')).toBe('by a relative path\n');
  });

  it('of an unknown name ends with 2 and says which there are; a known one beside it is built', () => {
    server.makeSmallChroot('amd64');
    const { status, stdout, stderr } = server.run('build', 'i386', 'amd64');
    expect(status).toBe(2);
    expect(stderr).toContain('no chroot i386 (there are amd64)');
    expect(stdout).toMatch(/^amd64: image .* is live/);
  });

  it('with --force makes a twin, which leaves .old alone', () => {
    const { image, first } = withTwoImages();
    const { ino } = fs.statSync(image);
    expect(done('build', '--force', 'amd64')).toContain('it was asked for in any case');
    expect(fs.statSync(image).ino).not.toBe(ino);
    expect(digest(`${image}.old`)).toBe(first);
    expect(readInImage(image, 'etc/motd')).toBe('second\n');
  });

  it('of a broken chroot ends with 3, the old image stays, and it is not built again until it changes', () => {
    const { chroot, image, second } = withTwoImages();
    fs.rmSync(path.join(chroot, 'sbin/init'));
    const rejected = server.run('build', 'amd64');
    expect(rejected.status).toBe(3);
    expect(rejected.stderr).toContain(
      'the new image of amd64 was rejected and the old one is live: sbin/init is missing',
    );
    expect(digest(image)).toBe(second);
    const again = server.run('build', 'amd64');
    expect(again.status).toBe(3);
    expect(again.stderr).toContain('these inputs were rejected');
    const text = done('status');
    expect(text).toContain('amd64: the last change was rejected');
    fs.writeFileSync(path.join(chroot, 'sbin/init'), 'repaired\n');
    done('build', 'amd64');
    expect(readInImage(image, 'sbin/init')).toBe('repaired\n');
  });

  it('keeps an image of another program that was there before as .old, byte for byte', () => {
    server.makeSmallChroot('amd64');
    const image = server.image('amd64');
    fs.mkdirSync(server.images);
    fs.writeFileSync(image, 'an image of another program');
    const foreign = digest(image);
    expect(server.status().chroots[0]).toMatchObject({ current: { id: 'foreign', builder: 'foreign' } });
    done('build', 'amd64');
    expect(digest(`${image}.old`)).toBe(foreign);
    expect(listImage(image)).toContain('/etc/passwd');
    done('revert', 'amd64');
    expect(digest(image)).toBe(foreign);
  });

  it('refuses a chroot with a half-configured package, which --force overrides', () => {
    const chroot = server.makeSmallChroot('amd64');
    writeStatus(chroot, packageEntry('libc6', '1', 'install ok half-configured'));
    const { status, stderr } = server.run('build', 'amd64');
    expect(status).toBe(1);
    expect(stderr).toContain('libc6 is half-configured (finish it in the chroot with dpkg --configure -a, or');
    done('build', '--force', 'amd64');
  });

  it('of two programs at once: one waits for the other and finds it done, one that may not wait is refused', async () => {
    const { chroot, image, second } = withTwoImages();
    const mksquashfs = server.holdMksquashfs();
    edit(chroot, 'third\n');
    const one = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    const holder = `ltsp-autoimage (pid ${one.child.pid})`;
    const other = server.begin('build', 'amd64');
    await other.says(`waiting for ${holder}`);
    const impatient = server.run('build', 'amd64', '--no-wait');
    expect(impatient.status).toBe(1);
    expect(impatient.stderr).toContain(holder);
    mksquashfs.letGo();
    expect((await one.ended).status).toBe(0);
    const { status, stdout } = await other.ended;
    expect(status).toBe(0);
    expect(stdout).toContain('amd64: nothing changed since');
    expect(digest(`${image}.old`)).toBe(second);
    expect(readInImage(image, 'etc/motd')).toBe('third\n');
  });

  it('of another chroot waits for the one lock, and is refused with its holder with --no-wait', async () => {
    server.makeSmallChroot('amd64');
    server.makeSmallChroot('i386');
    const mksquashfs = server.holdMksquashfs();
    const one = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    const impatient = server.run('build', 'i386', '--no-wait');
    expect(impatient.status).toBe(1);
    expect(impatient.stderr).toContain(
      `cannot build i386: ltsp-autoimage (pid ${one.child.pid}) holds ${server.images}`,
    );
    const other = server.begin('build', 'i386');
    await other.says(`i386: waiting for ltsp-autoimage (pid ${one.child.pid})`);
    mksquashfs.letGo();
    expect((await one.ended).status).toBe(0);
    expect((await other.ended).stdout).toMatch(/^i386: image .* is live/);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ended by %s leaves what was there and does not succeed', async (signal) => {
    const { chroot } = withTwoImages();
    const before = filesOfImages();
    server.holdMksquashfs();
    edit(chroot, 'third\n');
    const building = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    building.signalAll(signal);
    const { status, stderr } = await building.ended;
    expect(status).toBe(1);
    expect(stderr).toContain('the build of amd64 was stopped; nothing has changed for clients');
    expect(filesOfImages()).toEqual(before);
  });

  it('ended by SIGKILL leaves what clients get, and the next command clears up', async () => {
    const { chroot, image, second } = withTwoImages();
    const before = filesOfImages();
    const mksquashfs = server.holdMksquashfs();
    edit(chroot, 'third\n');
    const building = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    building.child.kill('SIGKILL');
    await building.ended;
    expect(digest(image)).toBe(second);
    expect(filesOfImages()).not.toEqual(before);
    const { status, stderr } = server.run('release', 'amd64');
    expect(status).toBe(0);
    expect(stderr).toContain('amd64: a rebuild was interrupted; what clients get is what they got before it');
    expect(filesOfImages()).toEqual(before);
    mksquashfs.letGo();
    done('build', 'amd64');
    expect(readInImage(image, 'etc/motd')).toBe('third\n');
  });
});

describe('revert', () => {
  it('goes back, a second one brings back the start, and --to goes to any generation', () => {
    const { chroot, image, first, second } = withTwoImages();
    const ids = server.status().chroots.map(({ current, previous }) => [current?.id ?? '', previous?.id ?? '']);
    const [[secondId = '', firstId = ''] = []] = ids;
    expect(done('revert', 'amd64')).toContain(`amd64: image ${firstId} is live again; on hold`);
    expect([digest(image), digest(`${image}.old`)]).toEqual([first, second]);
    done('revert', 'amd64');
    expect([digest(image), digest(`${image}.old`)]).toEqual([second, first]);
    edit(chroot, 'third\n');
    done('build', 'amd64');
    done('revert', 'amd64', `--to=${firstId}`);
    expect(digest(image)).toBe(first);
    const { status, stderr } = server.run('revert', 'amd64', '--to=20200101T000000Z');
    expect(status).toBe(1);
    expect(stderr).toContain(
      `cannot revert amd64 to 20200101T000000Z: no such generation (there are ${firstId}, ${secondId}`,
    );
  });

  it('without a previous image ends with 1 and says so', () => {
    server.makeSmallChroot('amd64');
    done('build', 'amd64');
    const { status, stderr } = server.run('revert', 'amd64');
    expect(status).toBe(1);
    expect(stderr).toBe('cannot revert amd64: there is no previous image (amd64.img.old)\n');
    expect(server.run('revert', 'i386').status).toBe(2);
  });

  it('to an image that is damaged on the disk ends with 3, and nothing has changed', () => {
    const { image, second } = withTwoImages();
    const fd = fs.openSync(`${image}.old`, 'r+');
    fs.writeSync(fd, Buffer.from([0xff, 0xff]), 0, 2, 600);
    fs.closeSync(fd);
    const before = filesOfImages();
    const { status, stderr } = server.run('revert', 'amd64');
    expect(status).toBe(3);
    expect(stderr).toContain('its image is damaged');
    expect(digest(image)).toBe(second);
    expect(filesOfImages()).toEqual(before);
    expect(server.status().chroots[0]).not.toHaveProperty('hold');
  });

  it('holds: --all leaves the chroot alone, until release or a build that names it', () => {
    const { chroot, image, first } = withTwoImages();
    done('revert', 'amd64');
    edit(chroot, 'third\n');
    const held = server.run('build', '--all');
    expect(held.stdout + held.stderr).toMatch(/amd64: on hold since .* released? with ltsp-autoimage release amd64/);
    expect(digest(image)).toBe(first);
    expect(done('status')).toContain('on hold');
    expect(done('release', 'amd64')).toBe('amd64: released; it is built again when it changes\n');
    done('build', '--all');
    expect(readInImage(image, 'etc/motd')).toBe('third\n');

    done('revert', 'amd64');
    edit(chroot, 'fourth\n');
    done('build', 'amd64');
    expect(readInImage(image, 'etc/motd')).toBe('fourth\n');
    expect(server.status().chroots[0]).not.toHaveProperty('hold');
  });

  it('puts what it leaves into quarantine: naming it does not bring it back, --force does', () => {
    const { image, first } = withTwoImages();
    done('revert', 'amd64');
    const { status, stderr } = server.run('build', 'amd64');
    expect(status).toBe(3);
    expect(stderr).toContain('was reverted by hand');
    expect(digest(image)).toBe(first);
    done('build', '--force', 'amd64');
    expect(readInImage(image, 'etc/motd')).toBe('second\n');
  });
});

describe('status and history', () => {
  it('have a form for programs, of which each part is as promised', () => {
    const { chroot, first, second } = withTwoImages();
    server.makeSmallChroot('i386');
    const status = statusSchema.parse(JSON.parse(done('status', '--json')));
    expect(status).toMatchObject({ daemon: { running: false }, config: { ok: true } });
    expect(status.chroots).toMatchObject([
      { name: 'amd64', path: chroot, state: 'current', current: { digest: second }, previous: { digest: first } },
      { name: 'i386', state: 'never-built', current: null, previous: null },
    ]);
    const history = z.array(historyEntry).parse(JSON.parse(done('history', '--json')));
    expect(history.map(({ name, event }) => [name, event])).toEqual([
      ['amd64', 'published'],
      ['amd64', 'published'],
    ]);
    expect(JSON.parse(done('history', 'i386', '--json'))).toEqual([]);
  });

  it('tell a person in sentences', () => {
    withTwoImages();
    expect(done('status')).toContain('The image of amd64 is current.');
    expect(done('history', 'amd64')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d {2}published {2}amd64: image .* is live/);
    expect(done('history', 'i386')).toBe('nothing has happened yet\n');
  });

  it('use colours on a terminal only, and not where NO_COLOR is set', () => {
    withTwoImages();
    const onTerminal = (env: NodeJS.ProcessEnv): string => {
      const command = `'${process.execPath}' '${program}' status '--root=${server.root}'`;
      return spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8', env }).stdout;
    };
    const { NO_COLOR: _, ...env } = process.env;
    expect(onTerminal(env)).toContain('\x1b[');
    expect(onTerminal({ ...env, NO_COLOR: '1' })).not.toContain('\x1b[');
    expect(done('status')).not.toContain('\x1b[');
  });
});

describe('the config', () => {
  it('is checked and shown; what is wrong in it comes with file and line, and ends each command with 2', () => {
    expect(done('config', 'check')).toContain(server.images);
    expect(done('config', 'show')).toContain('quiet = "200ms"');
    server.configure('[watch]\nquiet = "soon"\n[build]\nfast = true\n');
    const file = path.join(server.root, 'etc/ltsp/ltsp-autoimage.toml');
    for (const args of [['config', 'check'], ['config', 'show'], ['build'], ['status'], ['revert', 'amd64']]) {
      const { status, stdout, stderr } = server.run(...args);
      expect(status, args.join(' ')).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toContain(`${file}:2`);
      expect(stderr).toContain(`${file}:4`);
    }
  });

  it('is read from the file that --config names', () => {
    const file = path.join(server.root, 'other.toml');
    fs.writeFileSync(file, '[watch]\nquiet = "7s"\n');
    expect(done('config', 'show', `--config=${file}`)).toContain('quiet = "7s"');
    const { status, stderr } = server.run('config', 'show', '--config=/nowhere.toml');
    expect(status).toBe(2);
    expect(stderr).toContain('cannot read /nowhere.toml: it does not exist');
  });
});

describe('usage', () => {
  it.each([
    [['bild']],
    [['build', '--fast']],
    [['build', 'amd64', '--all']],
    [['revert']],
    [['revert', 'a', 'b']],
    [['history', 'a', 'b']],
    [['config', 'chek']],
    [['status', '--root']],
  ])('that is wrong ends with 2 and changes nothing: %j', (args) => {
    const { status, stderr } = spawnSync(process.execPath, [program, `--root=${server.root}`, ...args], {
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^ltsp-autoimage: /);
    expect(fs.readdirSync(server.base)).toEqual([]);
  });

  it('takes --root before and after the command', () => {
    server.makeSmallChroot('amd64');
    const root = `--root=${server.root}`;
    for (const args of [
      [root, 'status'],
      ['status', root],
      ['--root', server.root, 'status'],
      ['config', root, 'check'],
      ['config', 'check', root],
    ]) {
      const { status, stdout } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
      expect(status).toBe(0);
      expect(stdout).toMatch(/amd64|is valid/);
    }
  });

  it.each([[['--help']], [['build', '--help']], [['--version']]])('%j is answered on standard output', (args) => {
    const { status, stdout } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout).not.toBe('');
  });
});

describe('with a daemon', () => {
  it('build waits and tells how far it is; names, paths and unknown names are as without', async () => {
    const chroot = server.makeSmallChroot('amd64');
    const daemon = await server.start();
    await daemon.next('image.published');
    edit(chroot, 'second\n');
    const { status, stdout, stderr } = server.run('build', 'amd64');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^amd64: image .* is live/);
    expect(stderr).toContain('amd64: building the image\n');
    expect(done('build', chroot)).toContain('nothing changed');
    const relative = [program, 'build', `--root=${server.root}`, './amd64'];
    expect(spawnSync(process.execPath, relative, { cwd: server.base }).status).toBe(0);
    expect(server.run('build', 'i386').status).toBe(2);
    expect(statusSchema.parse(server.status()).daemon).toMatchObject({ running: true, pid: daemon.child.pid });
    expect(z.array(historyEntry).parse(JSON.parse(done('history', '--json')))).toHaveLength(2);
  });

  it('revert ends a running build, which says so, goes back and holds', async () => {
    const { chroot, image, first } = withTwoImages();
    server.holdMksquashfs();
    const daemon = await server.start();
    await daemon.next('image.unchanged');
    edit(chroot, 'third\n');
    const building = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    expect(done('revert', 'amd64')).toContain('is live again; on hold');
    const { status, stderr } = await building.ended;
    expect(status).toBe(1);
    expect(stderr).toContain('the build of amd64 was stopped; nothing has changed for clients');
    expect(digest(image)).toBe(first);
    const from = daemon.events.length;
    writeStatus(chroot, packageEntry('base', '2'));
    expect(await daemon.next('build.skipped', from)).toMatchObject({ state: 'held' });
    expect(digest(image)).toBe(first);
    expect(server.status().chroots[0]).toMatchObject({ state: 'current', hold: { reason: 'reverted by hand' } });
  });

  it('build ended by SIGINT goes away, and the daemon builds on', async () => {
    const chroot = server.makeSmallChroot('amd64');
    done('build', 'amd64');
    const mksquashfs = server.holdMksquashfs();
    const daemon = await server.start();
    await daemon.next('image.unchanged');
    edit(chroot, 'second\n');
    const building = server.begin('build', 'amd64');
    await server.buildAtWork('amd64');
    building.child.kill('SIGINT');
    expect((await building.ended).status).not.toBe(0);
    mksquashfs.letGo();
    await daemon.next('image.published');
    expect(readInImage(server.image('amd64'), 'etc/motd')).toBe('second\n');
  });
});
