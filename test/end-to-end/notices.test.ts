import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebService, writeProgram } from '../report/notices/receivers.ts';
import { type Daemon, leftovers, packageEntry, Server } from './server.ts';

const TOKEN = 'tk_5ecret';

let server: Server;
let daemon: Daemon;
let chroot: string;
/** A file in which a program in notify.d lists what it is told. */
let list: string;
beforeEach(() => {
  server = new Server();
  chroot = server.makeSmallChroot('amd64');
  list = path.join(server.root, 'list');
});
afterEach(async () => {
  const { root } = server;
  await server.remove();
  while (leftovers(root).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

function configure(webhook: string, more = ''): void {
  const quick = '[watch]\nquiet = "100ms"\nlook_every = "1h"\n';
  const schedule = `[schedule]\nnightly = ""\ntimezone = "UTC"\n${more}`;
  server.configure(`${quick}[notify]\nwebhook = "${webhook}"\ntoken_file = "/token"\n${schedule}`);
  fs.writeFileSync(path.join(server.root, 'token'), TOKEN, { mode: 0o600 });
  const line = 'echo "$LTSP_AUTOIMAGE_EVENT $LTSP_AUTOIMAGE_NAME"';
  writeProgram(path.join(server.root, 'etc/ltsp/autoimage.d/notify.d/list'), `${line} >> ${list}`);
}

/** What was told so far, once it is so many lines. */
async function listed(count: number): Promise<string[]> {
  for (;;) {
    const lines = fs.existsSync(list) ? fs.readFileSync(list, 'utf8').trim().split('\n') : [];
    if (lines.length >= count) return lines;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function install(name: string): void {
  fs.appendFileSync(path.join(chroot, 'var/lib/dpkg/status'), `\n${packageEntry(name, '1')}`);
}

describe('while a webhook never answers', () => {
  it('images are built, other receivers hear of each change once, and the daemon stops when it is told to', async () => {
    const service = await WebService.start('never');
    configure(service.address);
    daemon = await server.start();
    await daemon.next('image.published');
    fs.rmSync(path.join(chroot, 'sbin/init'));
    install('one');
    await daemon.next('image.rejected');
    fs.writeFileSync(path.join(chroot, 'sbin/init'), 'x\n', { mode: 0o755 });
    install('two');
    await daemon.next('image.published', daemon.events.length);
    expect(await listed(4)).toEqual(['published amd64', 'rejected amd64', 'published amd64', 'well-again amd64']);
    await service.hears(1);
    expect(await daemon.stop()).toBe(0);
    expect(service.heard.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`]);
    expect(daemon.log()).not.toContain(TOKEN);

    // what it could not be told before the restart it hears of now, and nobody else hears anything twice
    service.manners = [200];
    daemon = await server.start();
    await service.hears(3);
    expect(service.heard.map(({ body }) => JSON.parse(body).event)).toEqual(['rejected', 'rejected', 'well-again']);
    await daemon.next('image.unchanged');
    expect(await daemon.stop()).toBe(0);
    expect(await listed(4)).toHaveLength(4);
  });
});

describe('in lessons', () => {
  it('a change rests until a person asks; hold and release do what they say, with a daemon and without', async () => {
    const hour = (later: number): string => new Date(Date.now() + later * 3_600_000).toISOString().slice(11, 16);
    configure('', `quiet_hours = "${hour(-1)}-${hour(2)}"`);
    daemon = await server.start();
    await daemon.next('image.published');
    install('one');
    const resting = await daemon.next('build.later');
    expect(resting.msg).toMatch(/^amd64: built, to be published when quiet hours end, at /);
    expect(server.run('status').stdout).toContain('built, to be published when quiet hours end');
    expect(server.run('hold', 'amd64', '--until=2h')).toMatchObject({ status: 0 });
    await daemon.next('build.skipped');
    expect(server.run('status').stdout).toMatch(/on hold until \d+ \w+ \d\d:\d\d/);
    expect(server.run('release', 'amd64')).toMatchObject({ status: 0 });
    const built = daemon.count('build.started');
    expect(server.run('build', 'amd64')).toMatchObject({ status: 0, stdout: expect.stringContaining('is live') });
    expect(daemon.count('build.started')).toBe(built);
    expect(await daemon.stop()).toBe(0);

    expect(server.run('hold', 'amd64', '--until=yesterday')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('allowed: a moment to come'),
    });
    expect(server.run('hold', 'i386')).toMatchObject({ status: 2 });
    const held = 'amd64: on hold until ltsp-autoimage release amd64 or build amd64\n';
    expect(server.run('hold', 'amd64')).toMatchObject({ status: 0, stdout: held });
    install('two');
    expect(server.run('build', '--all')).toMatchObject({ status: 0, stderr: expect.stringContaining('on hold') });
  });
});
