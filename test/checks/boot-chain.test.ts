import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBootProblems, describe as inWords } from '../../src/checks/boot-chain.ts';
import { cpio } from './boot-chain/archives.ts';

const VERSION = '6.1.0-2-amd64';
const INITRD = `boot/initrd.img-${VERSION}`;
const SQUASHFS = `lib/modules/${VERSION}/kernel/fs/squashfs/squashfs.ko`;
const NBD = `lib/modules/${VERSION}/kernel/drivers/block/nbd.ko`;

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'boot-chain-'));
  write('bin/sh', 'x');
  write('sbin/init', '#!/bin/sh\n');
  fs.chmodSync(path.join(root, 'sbin/init'), 0o755);
  addKernel(VERSION);
});
afterEach(() => fs.rmSync(root, { recursive: true }));

function write(file: string, content: string | Buffer): void {
  fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
  fs.writeFileSync(path.join(root, file), content);
}

function remove(file: string): void {
  fs.rmSync(path.join(root, file), { recursive: true });
}

function initrd(...modules: string[]): Buffer {
  const entries = modules.map((module) => [`usr/${module}`, 'module']);
  return zlib.gzipSync(cpio({ init: '#!/bin/sh', ...Object.fromEntries(entries) }));
}

function addKernel(version: string): void {
  write(`boot/vmlinuz-${version}`, 'kernel');
  write(
    `boot/config-${version}`,
    'CONFIG_MODULES=y\nCONFIG_RD_GZIP=y\nCONFIG_SQUASHFS=m\n# CONFIG_NFS_FS is not set\n',
  );
  write(`boot/initrd.img-${version}`, initrd(...[SQUASHFS, NBD].map((module) => module.replace(VERSION, version))));
  write(`lib/modules/${version}/modules.dep`, '');
}

const found = async (): Promise<string[]> =>
  (await findBootProblems(root)).map((problem) => `${problem.severity}: ${inWords(problem)}`);

it('an image with init, kernel, modules and an initrd for squashfs over NBD has no problem', async () => {
  expect(await found()).toEqual([]);
});

describe('says by name what is broken', () => {
  it.each<[string, () => void, RegExp]>([
    [
      'init leads to nothing',
      () => remove('bin/sh'),
      /^broken: sbin\/init is a script for \/bin\/sh, which is missing \(/,
    ],
    [
      'an empty kernel',
      () => write(`boot/vmlinuz-${VERSION}`, ''),
      /^broken: kernel 6\.1\.0-2-amd64: boot\/vmlinuz-.* is empty/,
    ],
    [
      'no modules',
      () => remove('lib/modules'),
      /^broken: kernel 6\.1\.0-2-amd64: it has no modules in lib\/modules \(/,
    ],
    [
      'modules of another kernel',
      () => fs.renameSync(path.join(root, `lib/modules/${VERSION}`), path.join(root, 'lib/modules/6.1.0-3-amd64')),
      /^broken: kernel 6\.1\.0-2-amd64: it has no modules in lib\/modules \(/,
    ],
    [
      'a directory of modules that is empty',
      () => remove(`lib/modules/${VERSION}/modules.dep`),
      /^broken: kernel 6\.1\.0-2-amd64: lib\/modules\/6\.1\.0-2-amd64 is empty \(/,
    ],
    [
      'modules without modules.dep',
      () => {
        remove(`lib/modules/${VERSION}/modules.dep`);
        write(`lib/modules/${VERSION}/kernel/x.ko`, 'x');
      },
      /^broken: kernel 6\.1\.0-2-amd64: lib\/modules\/6\.1\.0-2-amd64 has no modules\.dep \(/,
    ],
    [
      'no initrd',
      () => remove(INITRD),
      /^broken: kernel 6\.1\.0-2-amd64: it has no initrd .*update-initramfs -c -k 6\.1\.0-2-amd64/,
    ],
    [
      'an empty initrd',
      () => write(INITRD, ''),
      /^broken: kernel 6\.1\.0-2-amd64: boot\/initrd\.img-.* is empty \(.*update-initramfs -u/,
    ],
    [
      'an initrd without init',
      () => write(INITRD, zlib.gzipSync(cpio({ [SQUASHFS]: 'x', [NBD]: 'x' }))),
      /^broken: .* has no init in it/,
    ],
    [
      'an initrd without squashfs',
      () => write(INITRD, initrd(NBD)),
      /^broken: kernel 6\.1\.0-2-amd64: boot\/initrd\.img-6\.1\.0-2-amd64 cannot mount a squashfs root: it has no squashfs module \(add squashfs/,
    ],
    [
      'an initrd of another kernel',
      () => write(INITRD, initrd(...[SQUASHFS, NBD].map((module) => module.replace(VERSION, '6.1.0-9-amd64')))),
      /^broken: .* cannot mount a squashfs root: its modules are for 6\.1\.0-9-amd64 \(/,
    ],
    [
      'an initrd that its kernel cannot unpack',
      () => write(`boot/config-${VERSION}`, 'CONFIG_MODULES=y\nCONFIG_RD_XZ=y\n'),
      /^broken: .* is compressed by gzip, which this kernel cannot unpack \(CONFIG_RD_GZIP is not set\)/,
    ],
    [
      'an initrd without a network root',
      () => write(INITRD, initrd(SQUASHFS)),
      /^doubtful: .* has neither nbd nor nfs/,
    ],
    [
      'boot/ that is a file',
      () => {
        remove('boot');
        write('boot', '');
      },
      /^broken: cannot read the boot files of the image: boot\/ is no directory$/,
    ],
    ['no kernel', () => remove('boot'), /^doubtful: there is no kernel in boot\//],
  ])('%s', async (_, breakIt, words) => {
    breakIt();
    const all = await found();
    expect(
      all.filter((line) => words.test(line)),
      all.join('\n'),
    ).toHaveLength(1);
  });
});

it('what the kernel has in itself needs no module', async () => {
  write(INITRD, initrd());
  write(`boot/config-${VERSION}`, 'CONFIG_MODULES=y\nCONFIG_RD_GZIP=y\nCONFIG_SQUASHFS=y\nCONFIG_BLK_DEV_NBD=y\n');
  expect(await found()).toEqual([]);
  remove(`boot/config-${VERSION}`);
  expect((await findBootProblems(root)).map(({ kind }) => kind)).toEqual(['squashfs', 'network-root']);
  write(`lib/modules/${VERSION}/modules.builtin`, 'kernel/fs/squashfs/squashfs.ko\nkernel/fs/nfs/nfs.ko\n');
  expect(await found()).toEqual([]);
});

it('a kernel that cannot load modules needs none', async () => {
  remove('lib/modules');
  write(`boot/config-${VERSION}`, 'CONFIG_RD_GZIP=y\nCONFIG_SQUASHFS=y\nCONFIG_NFS_FS=y\n');
  expect(await found()).toEqual([]);
});

it.each([
  ['dracut', 'vmlinuz-6.5.6-300.fc39.x86_64', 'initramfs-6.5.6-300.fc39.x86_64.img', '6.5.6-300.fc39.x86_64', null],
  ['mkinitcpio', 'vmlinuz-linux', 'initramfs-linux.img', '6.6.1-arch1-1', 'linux\n'],
])('the names of %s are known', async (_, kernel, name, modules, pkgbase) => {
  remove('boot');
  remove('lib');
  write(`boot/${kernel}`, 'k');
  write(`usr/lib/modules/${modules}/modules.dep`, '');
  if (pkgbase !== null) write(`usr/lib/modules/${modules}/pkgbase`, pkgbase);
  write(`boot/${name}`, initrd(SQUASHFS.replace(VERSION, modules)));
  expect((await findBootProblems(root)).map(({ kind }) => kind)).toEqual(['network-root']);
  write(`boot/${name}`, initrd());
  expect((await findBootProblems(root)).map(({ kind }) => kind)).toEqual(['squashfs', 'network-root']);
});

it('a kernel that clients do not get, as a better one is there, is no reason to refuse', async () => {
  addKernel('6.1.0-9-amd64');
  for (const name of [INITRD, `lib/modules/${VERSION}`]) remove(name);
  expect(await findBootProblems(root)).toEqual([
    { severity: 'doubtful', kind: 'modules', kernel: VERSION, why: 'it has no modules in lib/modules' },
    { severity: 'doubtful', kind: 'no-initrd', kernel: VERSION },
  ]);
  addKernel(VERSION);
  write('boot/initrd.img-6.1.0-9-amd64', '');
  expect(await findBootProblems(root)).toMatchObject([{ severity: 'broken', kernel: '6.1.0-9-amd64' }]);
});

it('an initrd by a link in boot/ is read, and one that leads elsewhere is none', async () => {
  fs.renameSync(path.join(root, INITRD), path.join(root, 'boot/real'));
  fs.symlinkSync('real', path.join(root, INITRD));
  expect(await found()).toEqual([]);
  remove(INITRD);
  write('elsewhere', initrd(SQUASHFS, NBD));
  fs.symlinkSync('../elsewhere', path.join(root, INITRD));
  expect((await findBootProblems(root)).map(({ kind }) => kind)).toEqual(['no-initrd']);
});

it('a FIFO or device of such a name is never opened', async () => {
  for (const name of [INITRD, `boot/config-${VERSION}`, `lib/modules/${VERSION}/modules.builtin`]) {
    fs.rmSync(path.join(root, name), { force: true });
    execFileSync('mkfifo', [path.join(root, name)]);
  }
  execFileSync('mknod', [path.join(root, 'boot/vmlinuz-6.1.0-9-amd64'), 'c', '1', '5']);
  expect((await findBootProblems(root)).map(({ kind }) => kind)).toEqual(['no-initrd']);
});

it('names with control characters do not reach the terminal', async () => {
  fs.renameSync(path.join(root, `boot/vmlinuz-${VERSION}`), path.join(root, 'boot/vmlinuz-6\u001b[2J-x'));
  const all = await found();
  expect(all.join()).toContain('6?[2J-x');
  expect(all.join()).not.toContain('\u001b');
});

/** A Debian chroot with a kernel and the initrd that its own initramfs-tools made. */
const REAL = '/var/cache/ltsp-autoimage-bench/bookworm-kernel';
const hasReal = fs.existsSync(path.join(REAL, 'boot'));

describe.skipIf(!hasReal)(`a real Debian kernel ${hasReal ? '' : `(skipped: there is no ${REAL})`}`, () => {
  it('has what its initrd has, told by another program', async () => {
    const name = fs.readdirSync(path.join(REAL, 'boot')).find((one) => one.startsWith('initrd.img-')) ?? '';
    const version = name.replace('initrd.img-', '');
    const script =
      'zcat "$1" 2>/dev/null | grep -aoE "lib/modules/[^/]+/kernel/[a-z/]*/(squashfs|nbd|nfs)\\.ko" | sort -u';
    const modules = execFileSync('sh', ['-c', script, 'sh', path.join(REAL, 'boot', name)], { encoding: 'utf8' });
    const problems = await findBootProblems(REAL);
    expect(problems.some(({ kind }) => kind === 'squashfs')).toBe(!modules.includes('/squashfs.ko'));
    expect(problems.some(({ kind }) => kind === 'network-root')).toBe(!/\/(nbd|nfs)\.ko/.test(modules));
    expect(problems.map(({ kind }) => kind).filter((kind) => !['squashfs', 'network-root'].includes(kind))).toEqual([]);
    // the same with the module in one more archive, as it were in a microcode's place, and without the end
    remove('boot');
    fs.cpSync(path.join(REAL, 'boot'), path.join(root, 'boot'), { recursive: true });
    write(`lib/modules/${version}/modules.dep`, '');
    const data = fs.readFileSync(path.join(root, 'boot', name));
    write(`boot/${name}`, Buffer.concat([cpio({ [SQUASHFS.replace(VERSION, version)]: 'module' }), data]));
    expect(await found()).toEqual([]);
    write(`boot/${name}`, data.subarray(0, data.length - 1_000_000));
    expect(await found()).toEqual([expect.stringMatching(/^broken: .*initrd\.img-.* cannot be unpacked \(gzip: /)]);
  });
});
