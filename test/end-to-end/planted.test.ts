import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stateOf } from '../build/tree-state.ts';
import { realChroot } from '../real-chroot.ts';
import {
  hashes,
  keysAndNetworks,
  type Planted,
  plant,
  plantStubborn,
  stubborn,
  tokens,
  traces,
} from './planted-secrets.ts';
import { Command, leftovers, type Ran, Server } from './server.ts';

const program = fileURLToPath(new URL('../../dist/ltsp-update-image.js', import.meta.url));

let server: Server;
let chroot: string;
/** The chroot as it was before anything was built of it. */
let state: string[];

beforeAll(async () => {
  server = new Server();
  chroot = await realChroot(server.base);
  plant(chroot);
  state = stateOf(chroot);
  configure('warn');
});
afterAll(() => server.remove());

const argv = (...args: string[]): string[] => [program, `--root=${server.root}`, ...args, 'amd64'];

async function update(...args: string[]): Promise<Ran> {
  return new Command(argv(...args), process.env).ended;
}

const digest = (): string =>
  createHash('sha256')
    .update(fs.readFileSync(server.image('amd64')))
    .digest('hex');

/** The chroot is as small as apt makes one, without init. */
function configure(secrets: 'warn' | 'refuse'): void {
  server.configure(`[check]\nrequired = ["bin/sh"]\nboot_chain = "off"\nsecrets = "${secrets}"\n`);
}

/** Unpacks the current image and gives its root to `use`. */
function withImage(use: (root: string) => void): void {
  const root = path.join(server.root, 'unpacked');
  execFileSync('unsquashfs', ['-quiet', '-no-progress', '-dest', root, server.image('amd64')], { stdio: 'pipe' });
  try {
    use(root);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

/** Which of the planted secrets stand somewhere in a tree. */
function secretsBelow(root: string): string[] {
  const all = [...hashes, ...keysAndNetworks, ...tokens, ...traces];
  return all.filter(({ secret }) => occurs(root, secret)).map(({ file }) => file);
}

function occurs(root: string, text: string): boolean {
  try {
    execFileSync('grep', ['--recursive', '--quiet', '--fixed-strings', '--', text, root], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

function expectUntouched(): void {
  expect(stateOf(chroot)).toEqual(state);
  expect(leftovers(server.root)).toEqual([]);
}

/** Each of them has a line that names its file and does not tell it. */
function expectReported({ stdout, stderr }: Ran, planted: readonly Planted[]): void {
  const lines = stderr.split('\n');
  const unsaid = planted.filter(({ file, account }) => {
    const named = (line: string): boolean => line.includes(`${file}: `) && line.includes(account ?? '');
    return !lines.some(named);
  });
  expect(unsaid.map(({ file }) => file)).toEqual([]);
  const told = planted.filter(({ secret }) => stdout.includes(secret) || stderr.includes(secret));
  expect(told).toEqual([]);
}

it('without cleanup each of them is in the image and is reported in a line, and none is told', async () => {
  const ran = await update();
  expect(ran.status, ran.stderr).toBe(0);
  expectReported(ran, [...hashes, ...keysAndNetworks, ...tokens]);
  withImage((root) => expect(secretsBelow(root)).toEqual(secretsBelow(chroot)));
  expectUntouched();
});

it('where the site refuses secrets the image is rejected with 1, and the old one stays', async () => {
  const before = digest();
  configure('refuse');
  try {
    const ran = await update();
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('the new image of amd64 was rejected and the old one is live: ');
    const secrets = [...hashes, ...keysAndNetworks, ...tokens];
    expect(secrets.filter(({ file }) => !ran.stderr.includes(file)).map(({ file }) => file)).toEqual([]);
    expect(secrets.filter(({ secret }) => (ran.stderr + ran.stdout).includes(secret))).toEqual([]);
    expect(digest()).toBe(before);
    expectUntouched();
  } finally {
    configure('warn');
  }
});

it('with --cleanup none of them is in the image and nothing is reported, also where the site refuses them', async () => {
  const site = path.join(server.root, 'etc/ltsp/autoimage.d/cleanup.d');
  fs.mkdirSync(site, { recursive: true });
  const own =
    '#!/bin/sh\nset -e\necho "$LTSP_AUTOIMAGE_NAME" > "$1/etc/by-site"\nrm "$LTSP_AUTOIMAGE_VIEW/etc/of-site"\n';
  fs.writeFileSync(path.join(site, '10-own'), own, { mode: 0o755 });
  configure('refuse');
  try {
    const ran = await update('--cleanup');
    expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: '' });
    expectUntouched();
    withImage((root) => {
      expect(secretsBelow(root)).toEqual([]);
      // the chroot's own script, up to its return, and the server's own program
      expect(fs.readFileSync(path.join(root, 'etc/by-chroot'), 'utf8')).toBe('1 amd64\n');
      expect(fs.readFileSync(path.join(root, 'etc/by-site'), 'utf8')).toBe('amd64\n');
      expect(fs.existsSync(path.join(root, 'etc/of-site'))).toBe(false);
      // nothing of people is left, and what clients need is there
      expect(fs.readdirSync(path.join(root, 'home'))).toEqual([]);
      const accounts = ['passwd', 'group', 'shadow', 'gshadow', 'subuid', 'subgid', 'passwd-', 'shadow-', 'group-'];
      const files = accounts.map((name) => path.join(root, 'etc', name)).filter((file) => fs.existsSync(file));
      expect(files.filter((file) => /anna|bert/.test(fs.readFileSync(file, 'utf8')))).toEqual([]);
      expect(fs.readFileSync(path.join(root, 'etc/passwd'), 'utf8')).toContain('\nwww-data:x:33:');
      expect(fs.readFileSync(path.join(root, 'etc/machine-id'), 'utf8')).toBe('');
      expect(fs.readFileSync(path.join(root, 'var/log/syslog'), 'utf8')).toBe('');
      expect(fs.existsSync(path.join(root, 'etc/ssh/sshd_config'))).toBe(true);
    });
  } finally {
    fs.rmSync(site, { recursive: true });
    configure('warn');
  }
});

it('killed in the middle of a cleanup it leaves no mount, and the next run does its work', async () => {
  const site = path.join(server.root, 'etc/ltsp/autoimage.d/cleanup.d');
  fs.mkdirSync(site, { recursive: true });
  const reached = path.join(server.root, 'reached');
  const before = digest();
  fs.writeFileSync(path.join(site, '10-slow'), `#!/bin/sh\necho $$ > '${reached}'\nexec sleep 600\n`, { mode: 0o755 });
  const command = new Command(argv('-c'), process.env);
  while (!fs.existsSync(reached) && command.child.exitCode === null) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  command.child.kill('SIGKILL');
  await command.ended;
  // the kernel takes them down after the last process
  for (let looks = 0; looks < 200 && viewsLeft() > 0; looks++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(viewsLeft()).toBe(0);
  expectUntouched();
  expect(digest()).toBe(before);

  fs.rmSync(site, { recursive: true });
  const { status, stderr } = await update('-c');
  const line = 'amd64: a rebuild was interrupted; what clients get is what they got before it\n';
  expect({ status, stderr }).toEqual({ status: 0, stderr: line });
  withImage((root) => expect(secretsBelow(root)).toEqual([]));
  const generations = path.join(server.images, '.generations/amd64');
  expect(fs.readdirSync(generations).filter((name) => name.includes('partial'))).toEqual([]);
  expectUntouched();
});

describe('a password of a group, and the Wi-Fi password of wpa_supplicant', () => {
  beforeAll(() => plantStubborn(chroot));

  it('are reported', async () => {
    const ran = await update();
    expect(ran.status, ran.stderr).toBe(0);
    expectReported(ran, stubborn);
  });

  // to become `it` when cleanup takes them out
  it('are not in the image with --cleanup', async () => {
    const { status, stderr } = await update('--cleanup');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

/** How many processes see a mount of the server's state directory: a view lives in a namespace of its own. */
function viewsLeft(): number {
  const mountPoint = path.join(server.root, 'var/lib/ltsp-autoimage/mnt');
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => mountsOf(pid).includes(mountPoint)).length;
}

function mountsOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch {
    // it has ended
    return '';
  }
}
