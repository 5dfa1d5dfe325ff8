import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import { cpio } from '../checks/boot-chain/archives.ts';
import { makePackage, realChroot } from '../real-chroot.ts';
import { RealServer } from '../serve/nbd/real-server.ts';
import { Daemon, leftovers, Server } from './server.ts';
import { makeSmallChroot } from './small-chroot.ts';

const digestOf = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

describe('a real chroot that is broken: the old image stays byte for byte, and it is said what is wrong', () => {
  const VERSION = '6.1.0-2-amd64';
  const INITRD = `boot/initrd.img-${VERSION}`;
  const MODULES = `usr/lib/modules/${VERSION}`;

  let server: Server;
  let chroot: string;
  let before: string;
  beforeAll(async () => {
    server = new Server();
    // zstd 1 only for speed
    server.configure('[build]\ncompression = "zstd"\nlevel = 1\n[check]\nboot_chain = "refuse"\n');
    chroot = await realChroot(server.base, 'amd64');
    // Debian's smallest has neither init nor kernel
    fs.writeFileSync(inside('usr/sbin/init'), '#!/bin/sh\n', { mode: 0o755 });
    plantKernel();
    const first = server.run('build', 'amd64');
    expect(first.stderr).not.toMatch(/kernel|init|cannot/);
    expect(first.status).toBe(0);
    before = digestOf(server.image('amd64'));
  });
  afterAll(async () => {
    const { root } = server;
    await server.remove();
    while (leftovers(root).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  const inside = (file: string): string => path.join(chroot, file);

  function plantKernel(): void {
    const modules = { squashfs: 'fs/squashfs/squashfs', nbd: 'drivers/block/nbd', e1000: 'drivers/net/e1000' };
    const paths = Object.values(modules).map((name) => `${MODULES}/kernel/${name}.ko`);
    const archive = cpio({ init: '#!/bin/sh\n', ...Object.fromEntries(paths.map((file) => [file, 'module'])) });
    const config = ['MODULES=y', 'RD_GZIP=y', 'SQUASHFS=m', 'BLK_DEV_NBD=m', 'SQUASHFS_ZSTD=y'];
    const files = {
      [`boot/vmlinuz-${VERSION}`]: 'kernel',
      [`boot/config-${VERSION}`]: config.map((line) => `CONFIG_${line}\n`).join(''),
      [INITRD]: zlib.gzipSync(archive),
      [`${MODULES}/modules.dep`]: paths.map((file) => `${path.relative(MODULES, file)}:\n`).join(''),
      ...Object.fromEntries(paths.map((file) => [file, 'module'])),
    };
    for (const [file, content] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(inside(file)), { recursive: true });
      fs.writeFileSync(inside(file), content);
    }
  }

  /** Moves something out of the chroot. @returns what brings it back */
  function takeAway(file: string): () => void {
    const aside = path.join(server.root, 'aside');
    fs.renameSync(inside(file), aside);
    return () => {
      fs.rmSync(inside(file), { recursive: true, force: true });
      fs.renameSync(aside, inside(file));
    };
  }

  function replace(file: string, content: string): () => void {
    const bringBack = takeAway(file);
    fs.writeFileSync(inside(file), content);
    return bringBack;
  }

  function libc(): string {
    const found = fs
      .readdirSync(inside('usr/lib'))
      .map((directory) => `usr/lib/${directory}/libc.so.6`)
      .find((file) => fs.existsSync(inside(file)));
    if (found === undefined) throw new Error('there is no libc');
    return found;
  }

  /** A package that dpkg leaves half-configured. */
  function breakPackage(): () => void {
    const postinst = '#!/bin/sh\nexit 1\n';
    const file = makePackage(chroot, { name: 'broken-tool', version: '1', files: { '/DEBIAN/postinst': postinst } });
    expect(() => execFileSync('chroot', [chroot, 'dpkg', '-i', file], { stdio: 'pipe' })).toThrow();
    return () => execFileSync('chroot', [chroot, 'dpkg', '--purge', 'broken-tool'], { stdio: 'pipe' });
  }

  it.each<[string, () => () => void, number, RegExp]>([
    ['without libc', () => takeAway(libc()), 3, /libc\.so\.6/],
    [
      'with an init that is a dangling link',
      () => {
        const bringBack = takeAway('usr/sbin/init');
        fs.symlinkSync('/lib/systemd/systemd', inside('usr/sbin/init'));
        return bringBack;
      },
      3,
      /sbin\/init is a dangling link/,
    ],
    ['with an emptied initrd', () => replace(INITRD, ''), 3, /initrd\.img-6\.1\.0-2-amd64 is empty/],
    [
      'with an initrd that is cut short',
      () => {
        const bytes = fs.readFileSync(inside(INITRD));
        const bringBack = takeAway(INITRD);
        fs.writeFileSync(inside(INITRD), bytes.subarray(0, bytes.length / 2));
        return bringBack;
      },
      3,
      /initrd\.img-6\.1\.0-2-amd64/,
    ],
    [
      'with modules of another kernel',
      () => {
        fs.renameSync(inside(MODULES), inside('usr/lib/modules/6.1.0-3-amd64'));
        return () => fs.renameSync(inside('usr/lib/modules/6.1.0-3-amd64'), inside(MODULES));
      },
      3,
      /kernel 6\.1\.0-2-amd64: it has no modules/,
    ],
    ['with a package that is half-configured', breakPackage, 1, /broken-tool/],
  ])('%s', (_, breakIt, exit, words) => {
    const mend = breakIt();
    try {
      const { status, stderr } = server.run('build', 'amd64', '--no-wait');
      expect(stderr).toMatch(words);
      expect(status).toBe(exit);
      expect(stderr).not.toContain('internal error');
      expect(digestOf(server.image('amd64'))).toBe(before);
    } finally {
      mend();
    }
  });
});

describe('an image that is truncated in place while nbd-server serves it', () => {
  let nbd: RealServer;
  let daemon: Daemon;
  beforeEach(async () => {
    nbd = await RealServer.prepare();
    // loopback is not in LTSP's own
    nbd.write('etc/ltsp/nbd-server.allow', '127.0.0.0/8\n');
    nbd.write('etc/group', execFileSync('getent', ['group', 'nbd'], { encoding: 'utf8' }));
    nbd.write('etc/ltsp/ltsp-autoimage.toml', '[watch]\nquiet = "200ms"\n[check]\nlive_every = "1s"\n');
    makeSmallChroot(nbd.at('opt/ltsp/amd64'), { 'usr/data': randomBytes(8_000_000) });
    nbd.export('amd64', 'amd64');
    await nbd.start();
    daemon = new Daemon(nbd.root);
  });
  afterEach(async () => {
    await daemon.kill();
    await nbd.stop();
  });

  async function digestOfNewClient(): Promise<string> {
    const client = await NbdClient.connect({ host: '127.0.0.1', port: nbd.port }, { timeout: 60_000 });
    try {
      const { size } = await client.open('/opt/ltsp/amd64');
      const hash = createHash('sha256');
      for await (const piece of client.pieces(size)) hash.update(piece);
      return hash.digest('hex');
    } finally {
      client.close();
    }
  }

  it('is found by the live watch and built anew: the next client gets all of it', async () => {
    const { id } = await daemon.next('image.published', 0, 'amd64');
    const image = nbd.at('opt/ltsp/images/amd64.img');
    const sound = await digestOfNewClient();
    expect(sound).toBe(digestOf(image));
    const from = daemon.events.length;
    fs.truncateSync(image, 4_000_000);
    expect((await daemon.next('live.damaged', from)).msg).toMatch(/damaged: it has 4000000 bytes, recorded are \d+/);
    const published = await daemon.next('image.published', from);
    expect(published.id).not.toBe(id);
    const now = await digestOfNewClient();
    expect(now).toBe(digestOf(image));
    expect(fs.statSync(image).size).toBeGreaterThan(8_000_000);
  });
});
