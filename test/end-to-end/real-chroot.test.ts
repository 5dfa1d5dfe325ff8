import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makePackage, realChroot } from '../real-chroot.ts';
import { leftovers, readInImage, Server } from './server.ts';

// zstd 1 only for speed: the chroot has no kernel, so that `auto` would be gzip
const CONFIG = `
[watch]
quiet = "1s"
look_every = "1h"
[schedule]
nightly = ""
[build]
compression = "zstd"
level = 1
`;

let server: Server;
let chroot: string;
beforeEach(async () => {
  server = new Server();
  server.configure(CONFIG);
  chroot = await realChroot(server.base, 'amd64');
  // without systemd there is no init, and a client that has none does not boot
  fs.writeFileSync(path.join(chroot, 'usr/sbin/init'), '#!/bin/sh\n', { mode: 0o755 });
});
afterEach(async () => {
  const { root } = server;
  await server.remove();
  while (leftovers(root).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

function digest(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

function install(file: string): void {
  execFileSync('chroot', [chroot, 'apt-get', 'install', '-y', '-qq', file], { stdio: 'ignore' });
}

it('apt installs a package: one new image with the package in it, and .old is the former one byte for byte', async () => {
  const daemon = await server.start();
  await daemon.next('image.published');
  const image = server.image('amd64');
  const former = digest(image);
  const from = daemon.events.length;

  install(makePackage(chroot, { name: 'new-game', version: '1.0', files: { 'usr/games/new-game': 'play\n' } }));
  const { id } = await daemon.next('image.published', from);
  fs.writeFileSync(path.join(server.trigger, 'amd64'), '');
  await daemon.next('image.unchanged', from);
  expect(daemon.count('build.started', from)).toBe(1);
  expect(readInImage(image, 'usr/games/new-game')).toBe('play\n');
  expect(digest(`${image}.old`)).toBe(former);
  const record = JSON.parse(fs.readFileSync(recordOf(id), 'utf8'));
  expect(record.packages).toMatchObject({ 'new-game': '1.0' });
  expect(record.builder).toBe('incremental');
  expect(record.how).toMatch(/^built upon the former image: \d+ files kept, \d+ written \(/);
});

it('while the tree is read apt-get is refused with our pid, and while apt works the image waits for it', async () => {
  const daemon = await server.start();
  await daemon.next('image.published');
  const file = makePackage(chroot, {
    name: 'slow',
    version: '1.0',
    files: {
      'usr/share/slow': 'x\n',
      'DEBIAN/postinst': '#!/bin/sh\nwhile [ ! -e /go ]; do sleep 0.1; done\n',
    },
  });
  // so that reading the tree takes longer than apt-get takes to come to the lock
  fs.writeFileSync(path.join(chroot, 'usr/share/large'), randomBytes(200_000_000));
  const from = daemon.events.length;

  const apt = spawn('chroot', [chroot, 'apt-get', 'install', '-y', '-qq', file], { stdio: 'ignore' });
  const ended = new Promise((resolve) => apt.once('close', resolve));
  for (;;) {
    const [amd64] = server.status().chroots;
    if (amd64?.state === 'waiting' && /^waiting for (apt-get|dpkg) \(pid \d+\)/.test(amd64.reason)) break;
  }
  const impatient = server.run('build', 'amd64', '--no-wait');
  expect(impatient.status).toBe(1);
  expect(impatient.stderr).toMatch(/cannot build amd64 now: waiting for (apt-get|dpkg) \(pid \d+\)/);
  expect(daemon.count('build.started', from)).toBe(0);
  fs.writeFileSync(path.join(chroot, 'go'), '');
  expect(await ended).toBe(0);

  await server.buildAtWork('amd64');
  const refused = spawnSync('chroot', [chroot, 'apt-get', 'install', '-y', '-qq', file], { encoding: 'utf8' });
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain('Could not get lock /var/lib/dpkg/lock');
  await daemon.next('image.published', from);
  expect(readInImage(server.image('amd64'), 'usr/share/slow')).toBe('x\n');
  install(file);
});

function recordOf(id: string | undefined): string {
  return path.join(server.images, '.generations/amd64', `${id}.json`);
}
