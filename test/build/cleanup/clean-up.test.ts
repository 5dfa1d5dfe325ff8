import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cleanUp } from '../../../src/build/cleanup/clean-up.ts';
import { CancelledError, messageOf } from '../../../src/errors.ts';
import { stateOf } from '../tree-state.ts';

let directory: string;
let root: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'clean-up-'));
  root = path.join(directory, 'root');
  fs.mkdirSync(root);
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

function plant(files: Readonly<Record<string, string>>): void {
  for (const [file, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), content);
  }
}

const has = (file: string): boolean => fs.existsSync(path.join(root, file));
const read = (file: string): string => fs.readFileSync(path.join(root, file), 'latin1');

it('empties logs, keeps who owns them, and removes former ones', async () => {
  plant({ 'var/log/syslog': 'x', 'var/log/syslog.1': 'x', 'var/log/a/b.log.2.gz': 'x', 'var/log/Xorg.0.log': 'x' });
  plant({ 'var/log/journal/0123/system.journal': 'x', 'var/log/dpkg.log-20260801': 'x' });
  fs.chownSync(path.join(root, 'var/log/syslog'), 5, 6);
  fs.chmodSync(path.join(root, 'var/log/syslog'), 0o640);
  expect((await cleanUp(root)).done).toEqual(['emptied or removed 6 logs']);
  expect(fs.statSync(path.join(root, 'var/log/syslog'))).toMatchObject({ size: 0, uid: 5, gid: 6, mode: 0o100640 });
  expect(fs.readdirSync(path.join(root, 'var/log'))).toEqual(['Xorg.0.log', 'a', 'journal', 'syslog']);
  expect(fs.readdirSync(path.join(root, 'var/log/journal'))).toEqual([]);
});

it('leaves the times of what it empties, and of directories that something is taken from', async () => {
  plant({ 'etc/machine-id': '0123\n', 'etc/ssh/ssh_host_rsa_key': 'key' });
  for (const file of ['etc/machine-id', 'etc/ssh']) fs.utimesSync(path.join(root, file), 1, 2);
  await cleanUp(root);
  expect([read('etc/machine-id'), has('etc/ssh/ssh_host_rsa_key')]).toEqual(['', false]);
  expect(['etc/machine-id', 'etc/ssh'].map((file) => fs.statSync(path.join(root, file)).mtimeMs)).toEqual([2000, 2000]);
});

it('does nothing more the second time', async () => {
  plant({
    'etc/passwd': 'a:x:1000:1000::/home/a:/bin/sh\n',
    'home/a/x': '',
    'var/log/x': 'x',
    'etc/fstab': '/dev/sda / ext4\n',
  });
  expect((await cleanUp(root)).done).not.toEqual([]);
  const once = stateOf(root);
  expect((await cleanUp(root)).done).toEqual([]);
  expect(stateOf(root)).toEqual(once);
});

it('removes homes of people below home/ alone, and none that a service lives in', async () => {
  const accounts = [
    'anna:x:1000:1000::/home/anna/:/bin/sh',
    'ben:x:1001:1001::/home/../etc:/bin/sh',
    'cleo:x:1002:1002::/srv/cleo:/bin/sh',
    'dora:x:1003:1003::/home:/bin/sh',
    'emil:x:1004:1004::/home/staff:/bin/sh',
    'svc:x:990:990::/home/staff/svc:/bin/sh',
  ];
  plant({
    'etc/passwd': `${accounts.join('\n')}\n`,
    'home/anna/.ssh/id_rsa': 'key',
    'srv/cleo/x': '',
    'home/staff/svc/x': '',
  });
  plant({ 'home/of-ldap/x': '', 'home/of-nobody/x': '', 'home/of-root/x': '' });
  fs.chownSync(path.join(root, 'home/of-ldap'), 1_234_567, 100);
  fs.chownSync(path.join(root, 'home/of-nobody'), 65_534, 100);
  await cleanUp(root);
  expect(read('etc/passwd')).toBe('svc:x:990:990::/home/staff/svc:/bin/sh\n');
  expect(fs.readdirSync(path.join(root, 'home'))).toEqual(['of-nobody', 'of-root', 'staff']);
  expect([has('etc/passwd'), has('srv/cleo/x'), has('home/staff/svc/x')]).toEqual([true, true, true]);
});

it('no symlink and no strange name leads out of the view', async () => {
  const outside = path.join(directory, 'outside');
  fs.mkdirSync(path.join(outside, 'bob'), { recursive: true });
  for (const file of ['bob/x', 'syslog', 'passwd.1', 'machine-id', 'ssh_host_key']) {
    fs.writeFileSync(path.join(outside, file), 'of the host');
  }
  plant({
    'etc/passwd': 'bob:x:1000:1000::/home/bob:/bin/sh\n../../outside/bob:x:1000:1::/home/x/../../../outside:/bin/sh\n',
  });
  fs.mkdirSync(path.join(root, 'var'));
  fs.symlinkSync(outside, path.join(root, 'home'));
  fs.symlinkSync('../../outside', path.join(root, 'var/log'));
  fs.symlinkSync(outside, path.join(root, 'etc/ssh'));
  fs.symlinkSync(path.join(outside, 'machine-id'), path.join(root, 'etc/machine-id'));
  fs.symlinkSync(outside, path.join(root, 'tmp'));
  const before = stateOf(outside);
  await cleanUp(root);
  expect(stateOf(outside)).toEqual(before);
});

it('leaves symlinks that lead to what makes a file on the client', async () => {
  plant({ 'etc/x': '', 'var/lib/dbus/x': '' });
  fs.symlinkSync('../run/systemd/resolve/stub-resolv.conf', path.join(root, 'etc/resolv.conf'));
  fs.symlinkSync('/etc/machine-id', path.join(root, 'var/lib/dbus/machine-id'));
  await cleanUp(root);
  expect(fs.readdirSync(path.join(root, 'etc'))).toEqual(['resolv.conf', 'x']);
  expect(fs.readdirSync(path.join(root, 'var/lib/dbus'))).toEqual(['machine-id', 'x']);
});

it("leaves what clients need: packages' state, caches that save them work, the site's own settings", async () => {
  const kept = {
    'var/cache/fontconfig/x.cache': 'x',
    'var/cache/man/index.db': 'x',
    'var/cache/debconf/config.dat': 'x',
    'var/lib/dpkg/status': 'x',
    'etc/udev/rules.d/99-mine.rules': 'x',
    'etc/cups/client.conf': 'ServerName printers',
    'etc/ssh/sshd_config': 'x',
    'root/.ssh/authorized_keys': 'ssh-ed25519 AAAA admin',
    'etc/group': 'root:x:0:\n',
  };
  plant(kept);
  expect((await cleanUp(root)).done).toEqual([]);
  for (const [file, content] of Object.entries(kept)) expect(read(file)).toBe(content);
});

it('names that are no text are removed with their directory', async () => {
  plant({ 'etc/passwd': 'a:x:1000:1000::/home/a:/bin/sh\n', 'home/a/x': '' });
  fs.writeFileSync(Buffer.from(`${root}/home/a/b\xfcro`, 'latin1'), '');
  await cleanUp(root);
  expect(fs.readdirSync(path.join(root, 'home'))).toEqual([]);
});

it('a FIFO, a socket or a device in the place of a file does not stop it', async () => {
  plant({ 'etc/x': '', 'var/log/x': '' });
  for (const file of ['etc/passwd', 'etc/machine-id', 'var/log/pipe']) execFileSync('mkfifo', [path.join(root, file)]);
  execFileSync('mknod', [path.join(root, 'etc/fstab'), 'c', '1', '3']);
  expect((await cleanUp(root)).done).toEqual([]);
});

it('names a file that is immutable, and what to do', async () => {
  plant({ 'etc/resolv.conf': 'nameserver 192.0.2.1' });
  const file = path.join(root, 'etc/resolv.conf');
  execFileSync('chattr', ['+i', file]);
  try {
    expect(messageOf(await cleanUp(root).catch((error) => error))).toMatch(
      /cannot change etc\/resolv.conf \(is it .*immutable.*\): EPERM/,
    );
  } finally {
    execFileSync('chattr', ['-i', file]);
  }
});

it('lets others have their turn while it removes a large home, and ends with the signal', async () => {
  plant({ 'etc/passwd': 'a:x:1000:1000::/home/a:/bin/sh\n' });
  plant(Object.fromEntries(Array.from({ length: 2000 }, (_, number) => [`home/a/${number}`, ''])));
  const stop = new AbortController();
  const cleaning = cleanUp(root, stop.signal);
  setImmediate(() => stop.abort());
  await expect(cleaning).rejects.toThrow(CancelledError);
  expect(fs.readdirSync(path.join(root, 'home/a')).length).toBeGreaterThan(0);
});
