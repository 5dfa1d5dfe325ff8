import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { listImage, type Ran, readInImage, Server } from './server.ts';

const program = fileURLToPath(new URL('../../dist/ltsp-update-image.js', import.meta.url));
const host = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();

let server: Server;
beforeEach(() => {
  server = new Server();
  server.configure('[watch]\nquiet = "200ms"\nlook_every = "1h"\n[schedule]\nnightly = ""\n');
});
afterEach(() => server.remove());

function update(...args: string[]): Ran {
  const argv = [program, `--root=${server.root}`, ...args];
  return spawnSync(process.execPath, argv, { encoding: 'utf8', env: server.env, cwd: server.base });
}

/** Runs it where it has to succeed and has nothing to complain about. */
function done(...args: string[]): string {
  const { status, stdout, stderr } = update(...args);
  expect({ status, stderr }, args.join(' ')).toEqual({ status: 0, stderr: '' });
  return stdout;
}

/** The one line on standard error with which it ends with 1. */
function refused(...args: string[]): string {
  const { status, stderr } = update(...args);
  expect(status, stderr).toBe(1);
  expect(stderr.split('\n').length, stderr).toBe(2);
  return stderr.trim().replaceAll(server.root, '');
}

function write(file: string, text: string): void {
  const absolute = path.join(server.root, file);
  fs.mkdirSync(path.dirname(absolute), { recursive: true });
  fs.writeFileSync(absolute, text);
}

/** A chroot with an image for each of these contents of etc/motd. */
function withImages(name: string, ...texts: string[]): string {
  const chroot = server.makeSmallChroot(name);
  for (const text of texts) {
    fs.writeFileSync(path.join(chroot, 'etc/motd'), text);
    done(name);
  }
  return server.image(name);
}

function digest(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

/** The compressor that the superblock names, and whether anything is compressed. */
function compressionOf(image: string): string {
  const text = execFileSync('unsquashfs', ['-s', image], { encoding: 'utf8' });
  return text.includes('Data is uncompressed') ? 'none' : (/^Compression (\S+)/m.exec(text)?.[1] ?? '');
}

describe('which chroots', () => {
  it("without CHROOT the one of this machine's architecture", () => {
    for (const name of [host, 'fat']) server.makeSmallChroot(name);
    expect(done()).toContain(`${host}: image`);
    expect(fs.existsSync(server.image('fat'))).toBe(false);
  });

  it('lists those there are when there is none of this architecture', () => {
    expect(refused()).toBe('No chroots found in /opt/ltsp');
    for (const name of ['fat', 'thin']) server.makeSmallChroot(name);
    expect(refused()).toBe(`Chroot ${host} does not exist. There are: fat, thin (name one, or give --all)`);
  });

  it('several, as subdirectories, full and relative paths, with trailing slashes, each once', () => {
    for (const name of ['one', 'two', 'three', 'four']) server.makeSmallChroot(name);
    done('one//', path.join(server.base, 'two/'), './three', 'one');
    const images = fs.readdirSync(server.images).filter((name) => name.endsWith('.img'));
    expect(images.sort()).toEqual(['one.img', 'three.img', 'two.img']);
    done('--all');
    expect(fs.existsSync(server.image('four'))).toBe(true);
  });

  it('one outside the base directory, named without its extension', () => {
    const chroot = server.makeSmallChroot('fat');
    const elsewhere = path.join(server.root, 'srv/fat.chroot');
    fs.mkdirSync(path.dirname(elsewhere));
    fs.renameSync(chroot, elsewhere);
    done(`${elsewhere}/`);
    expect(listImage(server.image('fat'))).toContain('/bin/true');
    fs.writeFileSync(path.join(elsewhere, 'etc/motd'), 'second\n');
    done('../../srv/fat.chroot');
    done('--revert', elsewhere);
    expect(readInImage(`${server.image('fat')}.old`, 'etc/motd')).toBe('second\n');
  });

  it('/ is named after the architecture, and the images are not in its image', () => {
    fs.renameSync(server.makeSmallChroot('x'), path.join(server.root, 'x'));
    for (const name of fs.readdirSync(path.join(server.root, 'x'))) {
      const target = path.join(server.root, name);
      if (!fs.existsSync(target)) fs.renameSync(path.join(server.root, 'x', name), target);
    }
    write('etc/passwd', 'x\n');
    write('var/lib/dpkg/status', '');
    done('/');
    const inImage = listImage(server.image(host));
    expect(inImage).toContain('/bin/true');
    expect(inImage.filter((file) => file.startsWith('/opt/ltsp/images/'))).toEqual([]);
  });

  it('one that is not there, or is no chroot, stops all before anything is done', () => {
    server.makeSmallChroot('amd64');
    fs.mkdirSync(path.join(server.base, 'empty'));
    expect(refused('amd64', 'i386')).toBe('Chroot i386 does not exist.');
    expect(refused('amd64', '/nowhere/')).toBe('Chroot /nowhere/ does not exist.');
    expect(refused('amd64', 'empty')).toBe('cannot use the chroot /opt/ltsp/empty: it has no bin/true');
    expect(refused('amd64', '')).toBe('Chroot  does not exist.');
    expect(fs.existsSync(server.images)).toBe(false);
  });
});

describe('a build', () => {
  it('is done in any case; the former image becomes .old, a twin leaves .old alone', () => {
    const image = withImages('amd64', 'first\n', 'second\n');
    expect([readInImage(image, 'etc/motd'), readInImage(`${image}.old`, 'etc/motd')]).toEqual(['second\n', 'first\n']);
    const { ino } = fs.statSync(image);
    done('amd64');
    expect(fs.statSync(image).ino).not.toBe(ino);
    expect(readInImage(`${image}.old`, 'etc/motd')).toBe('first\n');
  });

  it('with --no-backup leaves .old as it is', () => {
    const image = withImages('amd64', 'first\n', 'second\n');
    fs.writeFileSync(path.join(server.base, 'amd64/etc/motd'), 'third\n');
    done('-n', 'amd64');
    expect([readInImage(image, 'etc/motd'), readInImage(`${image}.old`, 'etc/motd')]).toEqual(['third\n', 'first\n']);
  });

  test.each([
    [[], 'gzip'],
    [['--compression=xz'], 'xz'],
    [['--comp', 'zstd'], 'zstd'],
    [['-m'], 'none'],
    [['-m', '--compression=zstd'], 'none'],
  ])('%j compresses with %s', (args, compression) => {
    server.makeSmallChroot('amd64');
    fs.writeFileSync(path.join(server.base, 'amd64/etc/long'), 'text '.repeat(10_000));
    expect(update(...args, 'amd64').status).toBe(0);
    expect(compressionOf(server.image('amd64'))).toBe(compression);
  });

  it('leaves out the lists of --exclude, of EXCLUDE and of the excludes file', () => {
    const chroot = server.makeSmallChroot('amd64');
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) fs.writeFileSync(path.join(chroot, `etc/${name}`), 'x');
    write('etc/ltsp/ltsp-update-image.conf', 'EXCLUDE="etc/a"\n');
    write('etc/ltsp/ltsp-update-image.excludes', 'etc/b\n');
    done('-e', 'etc/c etc/[d],', '--exclude=etc/e', '-m', 'amd64');
    const found = listImage(server.image('amd64')).filter((file) => /^\/etc\/[a-f]$/.test(file));
    expect(found).toEqual(['/etc/f']);
    expect(compressionOf(server.image('amd64'))).toBe('none');
  });

  it('the command line is over the config', () => {
    server.makeSmallChroot('amd64');
    write('etc/ltsp/ltsp-update-image.conf', 'NO_COMPRESS=true\nREVERT=false\n');
    write('etc/ltsp/ltsp-autoimage.toml', '[chroot.amd64.build]\ncompression = "lzo"\n');
    done('--compression=xz', 'amd64');
    expect(compressionOf(server.image('amd64'))).toBe('xz');
  });

  it('in another base directory leaves nothing in the usual one', () => {
    const other = path.join(server.root, 'srv/other');
    fs.mkdirSync(other, { recursive: true });
    fs.renameSync(server.makeSmallChroot('amd64'), path.join(other, 'amd64'));
    done('-b', `${other}/`, 'amd64');
    done(`-b${other}`, 'amd64');
    expect(fs.existsSync(path.join(other, 'images/amd64.img'))).toBe(true);
    expect(fs.readdirSync(server.base)).toEqual([]);
    expect(fs.existsSync(path.join(server.root, 'var/lib/ltsp-autoimage'))).toBe(false);
  });

  it('of an image that is rejected ends with 1, what was live is live, and the others are built', () => {
    const image = withImages('amd64', 'first\n');
    const before = digest(image);
    server.makeSmallChroot('fat');
    fs.rmSync(path.join(server.base, 'amd64/sbin/init'));
    expect(refused('amd64', 'fat')).toContain('the new image of amd64 was rejected and the old one is live');
    expect(digest(image)).toBe(before);
    expect(fs.existsSync(server.image('fat'))).toBe(true);
  });

  it('tells on standard output what goes on, a line for each stage', () => {
    server.makeSmallChroot('amd64');
    const lines = done('amd64').split('\n');
    expect(lines).toContain('amd64: building the image');
    expect(new Set(lines).size).toBe(lines.length);
    expect(lines.join('\n')).not.toContain('%');
  });

  it('on a terminal shows percents in one line', () => {
    server.makeSmallChroot('amd64');
    const command = `'${process.execPath}' '${program}' '--root=${server.root}' amd64`;
    const { stdout, status } = spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout).toMatch(/\r\x1b\[Kamd64: building the image \d+ %/);
  });
});

describe('a revert', () => {
  it('swaps the images, and a second one swaps them back', () => {
    const image = withImages('amd64', 'first\n', 'second\n');
    const both = () => [readInImage(image, 'etc/motd'), readInImage(`${image}.old`, 'etc/motd')];
    done('-r', 'amd64');
    expect(both()).toEqual(['first\n', 'second\n']);
    done('--rev', 'amd64');
    expect(both()).toEqual(['second\n', 'first\n']);
  });

  it('moves .old where there is no current image', () => {
    const image = withImages('amd64', 'first\n', 'second\n');
    fs.rmSync(image);
    done('-r', 'amd64');
    expect(readInImage(image, 'etc/motd')).toBe('first\n');
    expect(fs.existsSync(`${image}.old`)).toBe(false);
  });

  it('without .old ends with 1 and changes nothing', () => {
    const image = withImages('amd64', 'first\n');
    const before = digest(image);
    expect(refused('-r', 'amd64')).toContain('cannot revert amd64');
    expect(digest(image)).toBe(before);
  });

  it('ignores build options with a warning, and REVERT="true" in the config asks for it', () => {
    const image = withImages('amd64', 'first\n', 'second\n');
    const { status, stderr } = update('-rc', '--compression=xz', 'amd64');
    expect(status).toBe(0);
    expect(stderr).toBe('warning: build options are ignored with --revert: --cleanup, --compression\n');
    write('etc/ltsp/ltsp-update-image.conf', 'REVERT="true"\n');
    done('amd64');
    expect(readInImage(image, 'etc/motd')).toBe('second\n');
  });
});

describe('what is refused', () => {
  test.each([
    ['--x', "ltsp-update-image: unrecognized option '--x'"],
    ['-z', "ltsp-update-image: invalid option -- 'z'"],
    ['--c', "ltsp-update-image: option '--c' is ambiguous; possibilities: '--cleanup' '--compression' '--config-nbd'"],
    ['-b', "ltsp-update-image: option requires an argument -- 'b'"],
    ['--compression=bzip2', 'cannot compress with "bzip2" (--compression takes gzip, lzo, xz, lz4, zstd, or auto)'],
    [
      '--base=/nowhere',
      'cannot update images: there is no directory /nowhere (give it with --base, or as BASE in /etc/ltsp/ltsp-server.conf)',
    ],
  ])('%s', (option, message) => {
    server.makeSmallChroot(host);
    expect(refused(option)).toBe(message);
    expect(fs.existsSync(server.images)).toBe(false);
  });

  it('a config line that would execute something, which is not executed', () => {
    server.makeSmallChroot(host);
    write('etc/ltsp/ltsp-update-image.conf', 'EXCLUDE="$(touch executed)"\n');
    expect(refused()).toMatch(/^\/etc\/ltsp\/ltsp-update-image\.conf:1: /);
    expect(fs.existsSync(path.join(server.base, 'executed'))).toBe(false);
    expect(update('--help').status).toBe(0);
  });

  it('another user than root', () => {
    const { status, stderr, stdout } = spawnSync(
      'setpriv',
      ['--reuid=65534', '--clear-groups', process.execPath, program],
      {
        encoding: 'utf8',
      },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: 'Superuser privileges are needed.\n' });
  });

  it('a site that serves by NFS, unless it exports images already or CONFIG_NBD says something', () => {
    server.makeSmallChroot('amd64');
    write('etc/exports.d/ltsp.exports', '/opt/ltsp *(ro,no_root_squash)\n');
    write('etc/nbd-server/conf.d/ltsp_swap.conf', '');
    const message = 'cannot update images: NFS serves /opt/ltsp to the clients (to go over to NBD give --config-nbd)';
    expect(refused('amd64')).toBe(message);
    expect(refused('-r', 'amd64')).toBe(message);
    write('etc/ltsp/ltsp-update-image.conf', 'CONFIG_NBD="false"\n');
    done('amd64');
    fs.rmSync(path.join(server.root, 'etc/ltsp/ltsp-update-image.conf'));
    write('etc/nbd-server/conf.d/ltsp_fat.conf', '');
    done('amd64');
    fs.renameSync(
      path.join(server.root, 'etc/nbd-server/conf.d/ltsp_fat.conf'),
      path.join(server.root, 'etc/nbd-server/conf.d/ltsp_amd64.conf'),
    );
    done('-f', 'amd64');
  });
});

describe('beside a daemon', () => {
  it('on the same base directory it hands the work over, and says so', async () => {
    const chroot = server.makeSmallChroot('amd64');
    const daemon = await server.start();
    await daemon.next('image.published');
    fs.writeFileSync(path.join(chroot, 'etc/motd'), 'second\n');
    const from = daemon.events.length;
    expect(done('amd64')).toContain(`ltsp-autoimage is running for ${server.base} and does the work`);
    await daemon.next('image.published', from);
    expect(readInImage(server.image('amd64'), 'etc/motd')).toBe('second\n');
    expect(done('-r', 'amd64')).toContain('and does the work');
    await daemon.next('image.reverted', from);
    expect(await daemon.stop()).toBe(0);
  });

  it('with build options it waits for its turn and does the work itself, and says so', async () => {
    server.makeSmallChroot('amd64');
    const fat = server.makeSmallChroot('fat');
    done('--all');
    const mksquashfs = server.holdMksquashfs();
    const daemon = await server.start();
    fs.writeFileSync(path.join(fat, 'etc/motd'), 'second\n');
    const building = server.begin('build', 'fat');
    await server.buildAtWork('fat');
    const child = spawn(process.execPath, [program, `--root=${server.root}`, '--compression=xz', 'amd64'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: server.env,
    });
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.once('close', () => reject(new Error(`it did not wait: ${said}`)));
      child.stdout.on('data', (data) => {
        said += data;
        if (said.includes('waiting for ltsp-autoimage')) resolve();
      });
    });
    expect(said).toContain(`ltsp-autoimage is running for ${server.base}; the work is done here`);
    expect(compressionOf(server.image('amd64'))).toBe('gzip');
    const ended = new Promise((resolve) => child.once('close', resolve));
    mksquashfs.letGo();
    expect(await ended).toBe(0);
    expect((await building.ended).status).toBe(0);
    expect(compressionOf(server.image('amd64'))).toBe('xz');
    expect(await daemon.stop()).toBe(0);
  });

  it('on another base directory it has nothing to do with the daemon', async () => {
    server.makeSmallChroot('amd64');
    const other = path.join(server.root, 'srv/other');
    fs.mkdirSync(other, { recursive: true });
    fs.cpSync(path.join(server.base, 'amd64'), path.join(other, 'amd64'), { recursive: true });
    const daemon = await server.start();
    await daemon.next('image.published');
    const { ino } = fs.statSync(server.image('amd64'));
    expect(done('-b', other, 'amd64')).not.toContain('ltsp-autoimage is running');
    expect(fs.statSync(server.image('amd64')).ino).toBe(ino);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('help and version', () => {
  it('help tells every option; neither needs a config', () => {
    const help = spawnSync(process.execPath, [program, '--help'], { encoding: 'utf8' });
    expect(help.status).toBe(0);
    for (const option of [
      'base',
      'cleanup',
      'compression',
      'exclude',
      'config-nbd',
      'no-compress',
      'no-backup',
      'revert',
      'all',
    ])
      expect(help.stdout).toContain(`--${option}`);
    expect(done('--version')).toMatch(/^ltsp-update-image \d+\.\d+\.\d+\n$/);
  });
});
