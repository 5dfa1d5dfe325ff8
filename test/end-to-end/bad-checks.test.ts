import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CheckResult } from '../../src/store/generation.ts';
import { RealServer } from '../serve/nbd/real-server.ts';
import { leftovers, program, Server } from './server.ts';
import { makeSmallChroot } from './small-chroot.ts';

let server: Server;
beforeEach(() => {
  server = new Server();
  // the private nbd-server has to get in
  fs.chmodSync(server.root, 0o755);
  fs.copyFileSync('/etc/group', path.join(server.root, 'etc/group'));
  server.env = { ...process.env, BAD_CHECKS_TEST: server.root };
});
afterEach(async () => {
  const { root } = server;
  await server.remove();
  await untilNothingIsLeft(root);
});

/** Processes, mounts and loop devices of a run, and what it left in the directory of mounts. */
function traces(root = server.root): string[] {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const ours = pids.filter((pid) => procFile(pid, 'environ').includes(`BAD_CHECKS_TEST=${root}\0`));
  const state = path.join(root, 'var/lib/ltsp-autoimage/mnt');
  return [
    ...ours.map((pid) => `${pid} ${procFile(pid, 'cmdline').replaceAll('\0', ' ')}`),
    ...pids.filter((pid) => procFile(pid, 'mountinfo').includes(root)),
    ...leftovers(root),
    ...(fs.existsSync(state) ? fs.readdirSync(state) : []),
  ];
}

function procFile(pid: string, name: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/** The kernel takes down what a killed process had in its own time. */
async function untilNothingIsLeft(root = server.root): Promise<void> {
  for (let looks = 0; traces(root).length > 0; looks++) {
    if (looks === 400) throw new Error(`it is left: ${traces(root).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function config(check: string): void {
  server.configure(`[check]\n${check}\n`);
}

/** A program that comes first on PATH; the real one is $REAL in it, and $ROOT the server's root. */
function fake(name: string, script: string): void {
  const directory = path.join(server.root, 'fake-bin');
  fs.mkdirSync(directory, { recursive: true });
  const real = execFileSync('which', [name], { encoding: 'utf8' }).trim();
  const text = `#!/bin/sh\nREAL='${real}'\nROOT='${server.root}'\n${script}\n`;
  fs.writeFileSync(path.join(directory, name), text, { mode: 0o755 });
  server.env = { ...server.env, PATH: `${directory}:${process.env.PATH}` };
}

/** A PATH without some programs. */
function without(...programs: string[]): void {
  const directory = path.join(server.root, 'few-bin');
  fs.mkdirSync(directory);
  for (const from of ['/usr/sbin', '/usr/bin']) {
    for (const name of fs.readdirSync(from)) {
      if (programs.includes(name) || fs.existsSync(path.join(directory, name))) continue;
      fs.symlinkSync(path.join(from, name), path.join(directory, name));
    }
  }
  server.env = { ...server.env, PATH: directory };
}

/** One of the site's own checks. */
function siteCheck(program: string, script: string): void {
  const file = path.join(server.root, 'etc/ltsp/autoimage.d/check', program);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `#!/bin/sh\nROOT='${server.root}'\n${script}\n`, { mode: 0o755 });
}

/** What it said beside how far it is. */
function told(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => !/^amd64: (reading|building|checking|publishing) the /.test(line));
  return lines.join('\n');
}

const digest = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');

/** A chroot with an image, in which something has changed since. */
function withDueBuild(): string {
  const chroot = server.makeSmallChroot('amd64');
  expect(server.run('build')).toMatchObject({ status: 0 });
  fs.writeFileSync(path.join(chroot, 'etc/motd'), 'second\n');
  return digest(server.image('amd64'));
}

const HANGS = 'touch "$ROOT/reached"; sleep 1000 & sleep 1000';

describe('a check that hangs is ended at its limit, with all that it started, and the old image stays', () => {
  it.each([
    [
      'nbd-server',
      () => fake('nbd-server', HANGS),
      /nbd-server of our own did not get ready within 5 s \(check\.timeout\)/,
    ],
    ['nbdfuse', () => fake('nbdfuse', HANGS), /mounting it over NBD .* did not end within 5 s \(check\.timeout\)/],
    [
      'a program of the site',
      () => siteCheck('required.d/10-hangs', HANGS),
      /the site's required\.d\/10-hangs took longer than 5 s and was ended/,
    ],
  ])('%s', async (_, prepare, words) => {
    const before = withDueBuild();
    config('timeout = "5s"\nnbd = "required"');
    prepare();
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toMatch(words);
    expect(status).toBe(3);
    expect(fs.existsSync(path.join(server.root, 'reached'))).toBe(true);
    expect(digest(server.image('amd64'))).toBe(before);
    await untilNothingIsLeft();
  });

  it('mount, of the candidate', async () => {
    const before = withDueBuild();
    config('timeout = "5s"\nnbd = "off"');
    fake('mount', `case "$*" in *.partial*) ${HANGS};; esac; exec "$REAL" "$@"`);
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toMatch(/(no result after|mounting the image did not end within) 5 s \(check\.timeout\)/);
    expect(status).toBe(3);
    expect(digest(server.image('amd64'))).toBe(before);
    await untilNothingIsLeft();
  });
});

describe('a program that is not there for the check over NBD', () => {
  it.each(['nbd-server', 'nbdfuse'])('%s: that is a warning, and a refusal with check.nbd = "required"', (missing) => {
    const chroot = server.makeSmallChroot('amd64');
    // where clients come by NBD
    fs.mkdirSync(path.join(server.root, 'etc/nbd-server'));
    fs.writeFileSync(path.join(server.root, 'etc/nbd-server/config'), '[generic]\nallowlist = true\n');
    without(missing, 'nbd-client');
    const warned = server.run('build', 'amd64');
    expect(warned.stderr).toContain(`${missing} is not installed (apt-get install`);
    expect(warned.status).toBe(0);
    const before = digest(server.image('amd64'));
    fs.writeFileSync(path.join(chroot, 'etc/motd'), 'second\n');
    config('nbd = "required"');
    const refused = server.run('build', 'amd64');
    expect(refused.stderr).toMatch(new RegExp(`${missing} is not installed .*\\(check\\.nbd = "required"\\)`));
    expect(refused.status).toBe(3);
    expect(digest(server.image('amd64'))).toBe(before);
  });
});

describe('no free loop device', () => {
  it('fails the build and says so; that is no verdict about the image', async () => {
    const before = withDueBuild();
    config('nbd = "off"');
    fake(
      'mount',
      'case "$*" in *loop*) echo "mount: failed to setup loop device" >&2; exit 32;; esac; exec "$REAL" "$@"',
    );
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toContain('failed to setup loop device');
    expect(digest(server.image('amd64'))).toBe(before);
    // once there is one again the same chroot is built without a word
    fs.rmSync(path.join(server.root, 'fake-bin/mount'));
    const again = server.run('build', 'amd64');
    expect(told(again.stderr)).toBe('');
    expect([status, again.status]).toEqual([1, 0]);
    await untilNothingIsLeft();
  });
});

describe('the site\u2019s own checks', () => {
  it('one of required.d that fails rejects, with its last lines', () => {
    const before = withDueBuild();
    siteCheck('required.d/10-printers', 'echo first; echo second; echo third; echo "no printers" >&2; exit 7');
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toContain("the site's required.d/10-printers ended with status 7: second; third; no printers");
    expect(status).toBe(3);
    expect(digest(server.image('amd64'))).toBe(before);
  });

  it('one of wanted.d that fails warns', () => {
    const before = withDueBuild();
    siteCheck('wanted.d/10-fonts', 'echo "few fonts"; exit 1');
    const { status, stderr } = server.run('build', 'amd64');
    expect(stderr).toContain("the site's wanted.d/10-fonts ended with status 1: few fonts");
    expect(status).toBe(0);
    expect(digest(server.image('amd64'))).not.toBe(before);
  });
});

describe('an image that we did not make', () => {
  const verdict = (stdout: string): { passed: boolean; checks: CheckResult[] } => JSON.parse(stdout);

  function foreign(file: string, ...left: string[]): void {
    const chroot = path.join(server.root, 'elsewhere');
    fs.cpSync(server.makeSmallChroot('amd64'), chroot, { recursive: true });
    fs.rmSync(path.join(server.base, 'amd64'), { recursive: true });
    for (const name of left) fs.rmSync(path.join(chroot, name), { recursive: true });
    fs.mkdirSync(path.dirname(file), { recursive: true });
    execFileSync('mksquashfs', [chroot, file, '-quiet', '-no-progress']);
  }

  it('is verified by its name, with a table, and as JSON', () => {
    foreign(server.image('old-lab'));
    const { status, stdout } = server.run('verify', 'old-lab');
    expect(stdout).toMatch(/required/);
    expect(stdout).toMatch(/boot chain/);
    expect(status).toBe(0);
    const json = server.run('verify', 'old-lab', '--json');
    expect(verdict(json.stdout)).toMatchObject({ passed: true, name: 'old-lab', file: server.image('old-lab') });
    expect(json.status).toBe(0);
  });

  it('ends with 3 where something is missing in it, which is named, by its path as well', () => {
    const file = path.join(server.root, 'some.img');
    foreign(file, 'sbin/init');
    const { status, stdout } = server.run('verify', file);
    expect(stdout).toContain('sbin/init is missing');
    expect(status).toBe(3);
    const json = server.run('verify', file, '--json');
    expect(json.status).toBe(3);
    const { passed, checks } = verdict(json.stdout);
    expect([passed, checks.find(({ name }) => name === 'required')?.passed]).toEqual([false, false]);
  });

  it('ends with 3 where it is no image at all; what is not there ends with 2', () => {
    const file = path.join(server.root, 'some.img');
    fs.writeFileSync(file, 'no image '.repeat(1000));
    const { status, stdout, stderr } = server.run('verify', file);
    expect(`${stdout}${stderr}`).toContain('does not mount');
    expect(status).toBe(3);
    expect(server.run('verify', path.join(server.root, 'none.img')).status).toBe(2);
  });
});

describe('an authfile that forbids us', () => {
  let nbd: RealServer;
  beforeEach(async () => {
    nbd = await RealServer.prepare();
    nbd.write('etc/group', fs.readFileSync('/etc/group', 'utf8'));
    allow('127.0.0.0/8');
    const image = nbd.at('opt/ltsp/images/amd64.img');
    const section = `[/opt/ltsp/amd64]\nexportname = ${image}\nreadonly = true\nauthfile = ${nbd.at('allow')}\n`;
    nbd.write('etc/nbd-server/conf.d/ltsp_amd64.conf', section);
    await nbd.start();
  });
  afterEach(() => nbd.stop());

  const allow = (addresses: string): void => nbd.write('allow', `${addresses}\n`);

  /** Builds an image with something new in it. */
  function build(motd: string): { status: number | null; stderr: string; digest: string } {
    makeSmallChroot(nbd.at('opt/ltsp/amd64'), { 'etc/motd': motd });
    const argv = [program, 'build', `--root=${nbd.root}`, 'amd64'];
    const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8', env: server.env });
    return { status, stderr, digest: digest(nbd.at('opt/ltsp/images/amd64.img')) };
  }

  it('is told, and no fault of the image; with check.live = "strict" the image is taken back', () => {
    const first = build('first\n');
    expect([told(first.stderr), first.status]).toEqual(['', 0]);
    // what is only documented as an example: no machine has this address
    allow('192.0.2.1');
    const second = build('second\n');
    expect(second.stderr).toMatch(
      /clients cannot get it from the export \/opt\/ltsp\/amd64: .*; that was so before it was published, too/,
    );
    expect(second.status).toBe(0);
    nbd.write('etc/ltsp/ltsp-autoimage.toml', '[check]\nlive = "strict"\n');
    const strict = build('third\n');
    expect(strict.stderr).toMatch(
      /was taken back: clients cannot get it .* \(check\.live = "strict"\); image \S+ is live again/,
    );
    expect([strict.status, strict.digest]).toEqual([3, second.digest]);
  });
});

describe('a program that is killed in the middle of a check leaves nothing, and the next start builds', () => {
  it.each<[string, () => void]>([
    ['while its nbd-server starts', () => fake('nbd-server', HANGS)],
    ['while the image is mounted over NBD', () => fake('nbdfuse', HANGS)],
    ['while the image is mounted', () => fake('mount', `case "$*" in *.partial*) ${HANGS};; esac; exec "$REAL" "$@"`)],
    ['while a program of the site looks at it', () => siteCheck('required.d/10-hangs', HANGS)],
  ])('%s', async (_, prepare) => {
    const before = withDueBuild();
    config('nbd = "required"');
    prepare();
    const command = server.begin('build', 'amd64');
    while (!fs.existsSync(path.join(server.root, 'reached'))) {
      if (command.child.exitCode !== null) throw new Error((await command.ended).stderr);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    command.child.kill('SIGKILL');
    await command.ended;
    await untilNothingIsLeft();
    expect(digest(server.image('amd64'))).toBe(before);
    fs.rmSync(path.join(server.root, 'fake-bin'), { recursive: true, force: true });
    fs.rmSync(path.join(server.root, 'etc/ltsp/autoimage.d'), { recursive: true, force: true });
    const next = server.run('build', 'amd64');
    const interrupted = 'amd64: a rebuild was interrupted; what clients get is what they got before it\n';
    expect([told(next.stderr), next.status]).toEqual([interrupted, 0]);
    expect(digest(server.image('amd64'))).not.toBe(before);
    await untilNothingIsLeft();
    const generations = fs.readdirSync(path.join(server.images, '.generations/amd64'));
    expect(generations.filter((name) => name.includes('.partial'))).toEqual([]);
    expect(fs.readdirSync(path.join(server.root, 'var/lib/ltsp-autoimage/journal'))).toEqual([]);
  });
});
