import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CleanView, openCleanView } from '../../src/build/clean-view.ts';
import { CancelledError, UserError } from '../../src/errors.ts';
import { stateOf } from './tree-state.ts';

let directory: string;
let chroot: string;
let mountPoint: string;
let views: CleanView[];
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'clean-view-'));
  // what mount options and shells would stumble over
  chroot = path.join(directory, "it's a:chroot, $HOME");
  mountPoint = path.join(directory, 'mnt,x:y');
  views = [];
  fs.mkdirSync(path.join(chroot, 'etc'), { recursive: true });
  fs.mkdirSync(mountPoint);
  fs.writeFileSync(path.join(chroot, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
  fs.linkSync(path.join(chroot, 'etc/passwd'), path.join(chroot, 'etc/second'));
});
afterEach(async () => {
  for (const view of views) await view.close();
  fs.rmSync(directory, { recursive: true });
});

async function open(options: { submounts?: string[]; signal?: AbortSignal; chroot?: string } = {}): Promise<CleanView> {
  const view = await openCleanView({ chroot, submounts: [], mountPoint, ...options });
  views.push(view);
  return view;
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('openCleanView', () => {
  it('shows the chroot, and what changes there leaves the chroot as it is', async () => {
    fs.chmodSync(chroot, 0o751);
    fs.chownSync(chroot, 7, 8);
    fs.utimesSync(chroot, 1, 2);
    const before = stateOf(chroot);
    const view = await open();
    expect(fs.statSync(view.root)).toMatchObject({ mode: 0o40751, uid: 7, gid: 8, mtimeMs: 2000 });
    fs.appendFileSync(path.join(view.root, 'etc/passwd'), 'more');
    fs.chmodSync(path.join(view.root, 'etc'), 0o700);
    fs.renameSync(path.join(view.root, 'etc/second'), path.join(view.root, 'etc/third'));
    fs.writeFileSync(path.join(view.root, 'new'), '');
    fs.rmSync(path.join(view.root, 'etc/third'));
    expect(fs.readdirSync(view.root)).toEqual(['etc', 'new']);
    expect(fs.readFileSync(path.join(view.root, 'etc/passwd'), 'utf8')).toMatch(/more$/);
    await view.close();
    expect(stateOf(chroot)).toEqual(before);
  });

  it('makes an image of the view as of a directory', async () => {
    const view = await open();
    fs.writeFileSync(path.join(view.root, 'etc/motd'), 'of the view');
    const image = path.join(directory, 'it.img');
    execFileSync('mksquashfs', [view.root, image, '-noappend', '-quiet', '-no-progress']);
    const listing = execFileSync('unsquashfs', ['-ls', image], { encoding: 'utf8' }).split('\n');
    expect(listing).toEqual(expect.arrayContaining(['squashfs-root/etc/motd', 'squashfs-root/etc/passwd']));
    expect(execFileSync('unsquashfs', ['-cat', image, 'etc/motd'], { encoding: 'utf8' })).toBe('of the view');
  });

  it('is seen by nobody else, and is gone after close', async () => {
    const one = await open();
    const other = await open();
    fs.writeFileSync(path.join(one.root, 'x'), '');
    expect(fs.existsSync(path.join(other.root, 'x'))).toBe(false);
    expect(fs.readdirSync(mountPoint)).toEqual([]);
    expect(fs.readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(path.basename(directory));
    await one.close();
    expect(fs.existsSync(one.root)).toBe(false);
    expect(fs.existsSync(path.join(other.root, 'etc/passwd'))).toBe(true);
  });

  it('shows the root directory as a chroot', async () => {
    const view = await open({ chroot: '/' });
    expect(fs.readFileSync(path.join(view.root, 'etc/passwd'))).toEqual(fs.readFileSync('/etc/passwd'));
    fs.writeFileSync(path.join(view.root, 'ltsp-autoimage-test'), '');
    expect(fs.existsSync('/ltsp-autoimage-test')).toBe(false);
    // without what is mounted there
    expect(fs.readdirSync(path.join(view.root, 'proc'))).toEqual([]);
  });

  it('ends with the signal', async () => {
    const stop = new AbortController();
    const view = await open({ signal: stop.signal });
    expect(fs.existsSync(view.root)).toBe(true);
    stop.abort();
    await until(() => !fs.existsSync(view.root));
    await expect(open({ signal: stop.signal })).rejects.toThrow(CancelledError);
  });

  it('says of what it cannot make a view, and why', async () => {
    const opening = open({ chroot: path.join(directory, 'absent') });
    await expect(opening).rejects.toThrow(UserError);
    await expect(opening).rejects.toThrow(/^cannot make a clean view of .*absent: mount: .*does not exist/);
  });

  it('says in plain words that the kernel has no overlay file system', async () => {
    const bin = path.join(directory, 'bin');
    const mount = execFileSync('sh', ['-c', 'command -v mount'], { encoding: 'utf8' }).trim();
    fs.mkdirSync(bin);
    const says = "mount: /x: unknown filesystem type 'overlay'.";
    const script = `#!/bin/sh\nif [ "$2" = overlay ]; then echo "${says}" >&2; exit 32; fi\nexec ${mount} "$@"\n`;
    fs.writeFileSync(path.join(bin, 'mount'), script, { mode: 0o755 });
    const former = process.env.PATH;
    process.env.PATH = `${bin}:${former}`;
    try {
      await expect(open()).rejects.toThrow(
        `cannot clean up ${chroot}: this kernel has no overlay file system (modprobe overlay, or build without cleanup)`,
      );
    } finally {
      process.env.PATH = former;
    }
  });
});

/** A program that opens a view of `chroot`, says where it is, and stays. */
async function program(submounts: readonly string[]): Promise<string> {
  const file = path.join(directory, 'program.mjs');
  const options = JSON.stringify({ chroot, submounts, mountPoint });
  const contents = `
    import { openCleanView } from './src/build/clean-view.ts';
    const view = await openCleanView(${options});
    console.log(JSON.stringify(view));`;
  const stdin = { contents, resolveDir: path.resolve(import.meta.dirname, '../..') };
  await build({
    stdin,
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'error',
  });
  return file;
}

/** The first line a program writes. */
function lineOf(child: { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream }): Promise<string> {
  return new Promise((resolve, reject) => {
    let errors = '';
    child.stderr.on('data', (data) => {
      errors += data;
    });
    child.stdout.once('data', (data) => resolve(String(data)));
    child.stdout.once('end', () => reject(new Error(errors)));
  });
}

it('kill -9 of the program that opened a view leaves no process and no mount', async () => {
  const child = spawn(process.execPath, [await program([])], { stdio: ['ignore', 'pipe', 'pipe'] });
  const view: CleanView = JSON.parse(await lineOf(child));
  expect(fs.existsSync(path.join(view.root, 'etc/passwd'))).toBe(true);
  child.kill('SIGKILL');
  // its process' namespaces, and with them the mounts
  await until(() => !fs.existsSync(view.namespace));
  expect(fs.readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(path.basename(directory));
});

it('file systems mounted below the chroot are in the view, and are changed there alone', async () => {
  const disk = path.join(directory, 'disk');
  fs.mkdirSync(path.join(chroot, 'boot'));
  fs.writeFileSync(path.join(chroot, 'etc/resolv.conf'), 'below');
  fs.writeFileSync(path.join(directory, 'resolv.conf'), 'on top');
  execFileSync('mkfs.ext4', ['-q', disk, '8M']);
  // in a mount namespace of its own, as all that this test mounts
  const script = `
    mount -o loop "$1" "$2/boot" && echo kernel > "$2/boot/vmlinuz" && mkdir "$2/boot/efi"
    mount -o bind "$2/etc" "$2/boot/efi"
    mount -o bind "$3" "$2/etc/resolv.conf" && exec "$4" "$5"`;
  const file = await program(['boot', 'boot/efi', 'etc/resolv.conf']);
  const resolv = path.join(directory, 'resolv.conf');
  const args = ['-m', '--kill-child', '-f', 'sh', '-ec', script, 'sh', disk, chroot, resolv, process.execPath, file];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const view: CleanView = JSON.parse(await lineOf(child));
    const chrootThere = path.join('/proc', String(childOf(child.pid)), 'root', chroot);
    const before = stateOf(chrootThere);
    expect(fs.readFileSync(path.join(view.root, 'boot/vmlinuz'), 'utf8')).toBe('kernel\n');
    expect(fs.readFileSync(path.join(view.root, 'boot/efi/passwd'), 'utf8')).toMatch(/^root:/);
    expect(fs.readFileSync(path.join(view.root, 'etc/resolv.conf'), 'utf8')).toBe('on top');
    for (const gone of ['boot/vmlinuz', 'boot/efi/passwd', 'etc/resolv.conf']) fs.rmSync(path.join(view.root, gone));
    expect(stateOf(chrootThere)).toEqual(before);
  } finally {
    child.kill('SIGKILL');
  }
  await until(() => execFileSync('losetup', ['--associated', disk], { encoding: 'utf8' }) === '');
});

function childOf(pid: number | undefined): number {
  return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
}
