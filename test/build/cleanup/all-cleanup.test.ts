import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CleanView, openCleanView } from '../../../src/build/clean-view.ts';
import { cleanViewUp } from '../../../src/build/cleanup/all-cleanup.ts';
import { CancelledError, UserError } from '../../../src/errors.ts';
import { realChroot, removeChroot } from '../../real-chroot.ts';
import { stateOf } from '../tree-state.ts';

let directory: string;
let chroot: string;
let mountPoint: string;
let siteDirectory: string;
let view: CleanView;
beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'all-cleanup-'));
  mountPoint = path.join(directory, 'mnt');
  siteDirectory = path.join(directory, 'cleanup.d');
  fs.mkdirSync(mountPoint);
  chroot = await realChroot(directory);
  for (const [name, uid] of [
    ['svc', '500'],
    ['anna', '1000'],
    ['ben', '60000'],
  ] as const) {
    execFileSync('chroot', [chroot, 'useradd', '--create-home', '--uid', uid, name]);
  }
  execFileSync('chroot', [chroot, 'usermod', '--append', '--groups', 'audio,video', 'anna']);
  execFileSync('chroot', [chroot, 'chpasswd', '--crypt-method', 'SHA512'], { input: `anna:${SECRET}pass\n` });
}, 240_000);
afterAll(() => {
  fs.rmSync(siteDirectory, { recursive: true, force: true });
  fs.rmdirSync(mountPoint);
  removeChroot(chroot);
});

beforeEach(async () => {
  fs.mkdirSync(siteDirectory);
  view = await openCleanView({ chroot, submounts: [], mountPoint });
});
afterEach(async () => {
  await view.close();
  fs.rmSync(siteDirectory, { recursive: true });
});

/** Stands in every planted secret. */
const SECRET = 'PLANTED-SECRET-';
const OWN = 'usr/share/ltsp/ltsp-cleanup';

const secrets = [
  'etc/passwd-',
  'etc/shadow-',
  'etc/gshadow.bak',
  'etc/ssh/ssh_host_ed25519_key',
  'etc/machine-id',
  'var/lib/dbus/machine-id',
  'etc/ssl/private/ssl-cert-snakeoil.key',
  'etc/NetworkManager/system-connections/School.nmconnection',
  'etc/netplan/90-NM-1.yaml',
  'etc/cups/printers.conf',
  'etc/cups/printers.conf.O',
  'etc/fstab',
  'etc/resolv.conf',
  'etc/udev/rules.d/70-persistent-net.rules',
  'home/anna/.ssh/id_rsa',
  'home/ben/.config/token',
  'root/.bash_history',
  'root/.netrc',
  'root/.ssh/id_ed25519',
  'root/.aws/credentials',
  'root/.cache/x/y',
  'tmp/x',
  'var/backups/shadow.bak',
  'var/cache/apt/archives/x_1_all.deb',
  'var/cache/debconf/passwords.dat',
  'var/lib/NetworkManager/secret_key',
  'var/lib/systemd/random-seed',
  'var/lib/sss/db/cache_site.ldb',
  'var/log/auth.log',
  'var/log/auth.log.2.gz',
  'var/log/journal/0/system.journal',
  'var/mail/anna',
  'var/spool/cron/crontabs/anna',
  'var/spool/cups/d00001-001',
];

function write(file: string, content: string, mode = 0o644): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content, { mode });
}

function clean(options: { timeout?: number; signal?: AbortSignal } = {}): Promise<{ done: string[] }> {
  return cleanViewUp(view, { name: 'amd64', siteDirectory, timeout: 60_000, ...options });
}

/** True when a process with this command line runs. */
function isAnywhere(commandLine: string): boolean {
  const processes = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.some((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') === commandLine;
    } catch {
      return false;
    }
  });
}

const inView = (file: string): string => path.join(view.root, file);
const script = (lines: readonly string[]): string => `#!/bin/sh\n${lines.join('\n')}\n`;

describe('our own cleanup', () => {
  it('leaves no account, key or token in the view of a real chroot, and the chroot as it is', async () => {
    await view.close();
    for (const file of secrets) write(path.join(chroot, file), `${SECRET}${file}\n`);
    const before = stateOf(chroot);
    view = await openCleanView({ chroot, submounts: [], mountPoint });
    const { done } = await clean();
    expect(done).toContain('removed 2 accounts of people');
    expect(done.join()).not.toContain(SECRET);

    const tainted = execFileSync('sh', ['-c', 'grep -rl "$1" "$2" || true', 'sh', SECRET, view.root], {
      encoding: 'utf8',
    });
    expect(tainted).toBe('');
    const accounts = ['passwd', 'shadow', 'group', 'gshadow', 'subuid', 'subgid'].map((name) => `etc/${name}`);
    for (const file of accounts) expect(fs.readFileSync(inView(file), 'utf8')).not.toMatch(/anna|ben/);
    expect(fs.readdirSync(inView('home'))).toEqual(['svc']);
    // the system's own program finds nothing wrong, and what stays
    execFileSync('chroot', [view.root, 'pwck', '--read-only', '--quiet']);
    execFileSync('chroot', [view.root, 'grpck', '--read-only']);
    expect(execFileSync('chroot', [view.root, 'id', 'svc'], { encoding: 'utf8' })).toMatch(/^uid=500\(svc\)/);

    await view.close();
    expect(stateOf(chroot)).toEqual(before);
    for (const file of secrets) fs.rmSync(path.join(chroot, file));
    view = await openCleanView({ chroot, submounts: [], mountPoint });
  });

  it("sources the scripts of the chroot's cleanup.d, in which return works", async () => {
    write(inView('etc/ltsp/cleanup.d/10-first'), 'rm /etc/issue\nreturn 0\nexit 7\n');
    write(inView('etc/ltsp/cleanup.d/20-second'), 'rm /etc/issue.net\n');
    write(inView('etc/ltsp/cleanup.d/30-old.dpkg-old'), 'exit 8\n');
    expect((await clean()).done).toContain("ran the chroot's /etc/ltsp/cleanup.d (10-first, 20-second)");
    expect([fs.existsSync(inView('etc/issue')), fs.existsSync(inView('etc/issue.net'))]).toEqual([false, false]);
  });
});

describe("the chroot's own ltsp-cleanup", () => {
  it('runs in the place of ours, as root of the view, with what it takes to remove users and files', async () => {
    const lines = [
      '[ "$*" = --yes ] || exit 3',
      'userdel --remove anna 2>&1',
      'chown 5:6 /etc/issue',
      'echo x > /etc/new',
    ];
    write(inView(OWN), script(['set -e', ...lines]), 0o755);
    expect(await clean()).toEqual({ done: [`ran the chroot's /${OWN}`] });
    expect(fs.readFileSync(inView('etc/passwd'), 'utf8')).not.toMatch(/anna/);
    expect(fs.readdirSync(inView('home'))).toEqual(['ben', 'svc']);
    expect(fs.statSync(inView('etc/issue'))).toMatchObject({ uid: 5, gid: 6 });
    // nothing of its confinement is left in the view
    expect([fs.readdirSync(inView('proc')), fs.existsSync(inView('dev/fd'))]).toEqual([
      [],
      fs.existsSync(path.join(chroot, 'dev/fd')),
    ]);
    expect(fs.existsSync(path.join(chroot, 'etc/new'))).toBe(false);
  });

  it('reaches no network, no file of the host, no other process, no mount, no device, no kernel setting', async () => {
    const server = net.createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const service = net.createServer((socket) => socket.end());
    await new Promise<void>((resolve) => service.listen(path.join(chroot, 'run/service.sock'), resolve));
    expect(fs.lstatSync(inView('run/service.sock')).isSocket()).toBe(true);
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const secret = path.join(directory, 'of-the-host');
    fs.writeFileSync(secret, 'x');
    const tries = {
      network: `bash -c 'exec 3<>/dev/tcp/127.0.0.1/${port}'`,
      interfaces: '[ "$(grep -c : /proc/net/dev)" -gt 1 ]',
      'host file': `cat '${secret}'`,
      'host file through init': `ls '/proc/1/root${secret}'`,
      'host file upwards': `ls '/../../..${secret}'`,
      'host file by a working directory': `ls /proc/*/cwd/..${secret}`,
      process: `kill -0 ${process.pid}`,
      'processes seen': `[ -e /proc/${process.pid}/cmdline ]`,
      device: 'mknod /tmp/disk b 7 0 && head -c1 /tmp/disk',
      'kernel setting': 'echo x > /proc/sys/kernel/hostname',
      'system request': 'echo h > /proc/sysrq-trigger',
      service: `perl -MIO::Socket -e 'exit(IO::Socket::UNIX->new("/run/service.sock") ? 0 : 1)'`,
      chroot: 'chroot / /bin/true',
      namespace: 'unshare --mount /bin/true',
    };
    const lines = Object.entries(tries).map(
      ([what, command]) => `if ( ${command} ) >/dev/null 2>&1; then echo "${what}" >> /reached; fi`,
    );
    write(
      inView(OWN),
      script([...lines, 'grep ^Cap /proc/self/status > /caps', 'ls /proc | grep -c "^[0-9]" > /seen']),
      0o755,
    );
    await clean();
    for (const one of [server, service]) one.close();
    fs.rmSync(secret);
    expect(fs.existsSync(inView('reached')) ? fs.readFileSync(inView('reached'), 'utf8') : '').toBe('');
    // chown, dac_override, fowner, fsetid, setgid, setuid
    const caps = fs
      .readFileSync(inView('caps'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => parseInt(line.split('\t')[1] ?? '', 16));
    expect(caps).toEqual([0, 0xdb, 0xdb, 0xdb, 0]);
    expect(Number(fs.readFileSync(inView('seen'), 'utf8'))).toBeLessThan(5);
  });

  it('that fails ends the cleanup with its status and words', async () => {
    write(inView(OWN), script(['echo starting', 'echo "no space" >&2', 'exit 7']), 0o755);
    await expect(clean()).rejects.toThrow(
      `cannot finish the chroot's /${OWN}: it ended with status 7: starting; no space`,
    );
  });

  it('that takes too long is ended with all it started', async () => {
    write(inView(OWN), script(['sleep 1234.5 & sleep 1234.5']), 0o755);
    const cleaning = clean({ timeout: 4000 });
    await expect(cleaning).rejects.toThrow(UserError);
    await expect(cleaning).rejects.toThrow(`cannot finish the chroot's /${OWN}: it took longer than 4 s and was ended`);
    while (isAnywhere('sleep\x001234.5\x00')) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it('is ended by the signal', async () => {
    const stop = new AbortController();
    write(inView(OWN), script(['touch /started', 'sleep 1000']), 0o755);
    const cleaning = clean({ signal: stop.signal });
    cleaning.catch(() => {});
    while (!fs.existsSync(inView('started'))) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort();
    await expect(cleaning).rejects.toThrow(CancelledError);
  });

  it('of another architecture is named, and ours cleans up in its place', async () => {
    write(inView(OWN), script([]), 0o755);
    const foreign = fs.readFileSync(inView('bin/true'));
    foreign.writeUInt16LE(0xfff0, 18); // e_machine of the ELF header: one there is not
    fs.writeFileSync(inView('bin/true'), foreign);
    const { done } = await clean();
    expect(done).toContain(`cannot run the chroot's /${OWN}: it is for another architecture`);
    expect(done).toContain('removed 2 accounts of people');
  });
});

describe("the server's own programs", () => {
  it("run in order with the view's path, which is the chroot's name for them too", async () => {
    const says = (name: string): string =>
      script([`echo "${name} $1 $LTSP_AUTOIMAGE_VIEW $LTSP_AUTOIMAGE_NAME" >> "$1/told"`]);
    write(path.join(siteDirectory, '20-b.sh'), says('b'), 0o755);
    write(path.join(siteDirectory, '10-a'), says('a'), 0o755);
    write(path.join(siteDirectory, '30-not-executable'), says('c'));
    write(path.join(siteDirectory, '10-a.dpkg-old'), says('d'), 0o755);
    const { done } = await clean();
    const root = path.join(mountPoint, 'view');
    expect(fs.readFileSync(inView('told'), 'utf8')).toBe(`a ${root} ${root} amd64\nb ${root} ${root} amd64\n`);
    expect(done.at(-1)).toBe(`ran 10-a, 20-b.sh of ${siteDirectory}`);
  });

  it('leave no mount in the view', async () => {
    write(path.join(siteDirectory, 'mounts'), script(['mount -t tmpfs none "$1/mnt" && touch "$1/mnt/x"']), 0o755);
    await clean();
    expect(fs.readdirSync(inView('mnt'))).toEqual([]);
  });

  it('that others than root could change is refused', async () => {
    write(path.join(siteDirectory, 'any'), script(['touch "$1/ran"']), 0o755);
    fs.chmodSync(path.join(siteDirectory, 'any'), 0o777);
    await expect(clean()).rejects.toThrow(`cannot run ${siteDirectory}/any: it can be changed by everyone`);
    expect(fs.existsSync(inView('ran'))).toBe(false);
  });

  it('that fail end the cleanup with their name', async () => {
    write(path.join(siteDirectory, 'fails'), script(['echo why >&2; exit 3']), 0o755);
    await expect(clean()).rejects.toThrow(`cannot finish ${siteDirectory}/fails: it ended with status 3: why`);
  });
});
