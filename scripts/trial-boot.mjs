// Tries the boot in a virtual machine (src/checks/boot-vm.ts) with a real Debian: its kernel, its initrd and an image of
// it over NBD; and that the built program refuses what does not boot in a container. Prints a line for each thing it tries; status 1 when one of them is not so.
//   node scripts/trial-boot.mjs [CHROOT]        a Debian for a PC with a kernel and initramfs-tools
// Needs root, mmdebstrap, squashfs-tools, nbd-server, systemd-container, qemu-system-x86 and what npm run build makes. What it downloads is kept in
// /var/cache/ltsp-autoimage-test for the next time.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const cache = '/var/cache/ltsp-autoimage-test';
const chroot = process.argv[2] ?? path.join(cache, 'bookworm-kernel');
const LIMIT = 240_000;

const work = mkdtempSync(path.join(os.tmpdir(), 'trial-boot-'));
/** @type {import('node:child_process').ChildProcess[]} */
const servers = [];
let failures = 0;
try {
  makeChroot();
  const { bootInVm } = await bundled();
  const boot = path.join(chroot, 'boot');
  const kernel = theFile(boot, 'vmlinuz-');
  const stock = theFile(boot, 'initrd.img-');
  const initrd = initrdWithSquashfs(path.basename(kernel).slice('vmlinuz-'.length));
  const good = await serve(image('good', []));
  const withoutShell = await serve(image('without-shell', ['-e', 'usr/bin/dash', 'usr/bin/sh']));

  await look('an image boots over NBD', 'passed', /virtual machine/, { kernel, initrd, nbdUri: good });
  await look('an initrd that cannot mount squashfs fails, and says so', 'failed', /squashfs|No such device|mount/i, {
    kernel,
    initrd: stock,
    nbdUri: good,
  });
  await look('an image without a shell fails', 'failed', /init|panic/i, { kernel, initrd, nbdUri: withoutShell });
  await look('what is no kernel is skipped', 'skipped', /not one for a PC/, { kernel: initrd, initrd, nbdUri: good });

  tryContainer();

  /**
   * @param {string} what
   * @param {string} kind
   * @param {RegExp} words
   * @param {{ kernel: string, initrd: string, nbdUri: string }} options
   */
  async function look(what, kind, words, options) {
    const started = performance.now();
    const result = await bootInVm({ ...options, timeout: LIMIT }, new AbortController().signal);
    const said = result.kind === 'passed' ? result.what : result.why;
    const isSo = result.kind === kind && words.test(said);
    if (!isSo) failures += 1;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${isSo ? 'ok  ' : 'FAIL'} ${what} (${seconds} s): ${result.kind}: ${said}`);
  }
} finally {
  for (const server of servers) server.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

/** A chroot with systemd that is broken: the program refuses its image, and the one before stays. */
function tryContainer() {
  const original = path.join(cache, 'trixie-systemd');
  if (!existsSync(original)) throw new Error(`there is no ${original} (scripts/trial-systemd makes it)`);
  const root = path.join(work, 'server');
  const box = path.join(root, 'opt/ltsp/amd64');
  mkdirSync(path.join(root, 'etc/ltsp'), { recursive: true });
  mkdirSync(path.dirname(box), { recursive: true });
  // zstd 1 only for speed
  const config = '[build]\ncompression = "zstd"\nlevel = 1\n[check]\nboot = "container"\n';
  writeFileSync(path.join(root, 'etc/ltsp/ltsp-autoimage.toml'), config);
  execFileSync('cp', ['-a', original, box]);
  const image = path.join(root, 'opt/ltsp/images/amd64.img');
  const unit = path.join(box, 'etc/systemd/system/bad.service');
  const wants = path.join(box, 'etc/systemd/system/multi-user.target.wants');
  const loader = path.join(box, 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2');

  built('a Debian boots in a container and is published', 0, /published/);
  const sound = sha256(image);
  writeFileSync(unit, '[Service]\nExecStart=/bin/sh -c "echo the reason; exit 3"\n');
  mkdirSync(wants, { recursive: true });
  symlinkSync('../bad.service', path.join(wants, 'bad.service'));
  built('a unit that fails is a reason to refuse it', 3, /bad\.service failed \(the reason/);
  rmSync(path.join(wants, 'bad.service'));
  const head = readFileSync(loader);
  writeFileSync(loader, randomBytes(9999));
  built('a broken ld.so is a reason to refuse it', 3, /corrupted shared library|ld\.so/);
  writeFileSync(loader, head);
  tell('what clients get is what it was', sha256(image) === sound, '');

  /** @param {string} what @param {number} exit @param {RegExp} words */
  function built(what, exit, words) {
    const program = path.join(top, 'dist/ltsp-autoimage.js');
    const argv = [program, 'build', `--root=${root}`, 'amd64'];
    const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    tell(what, status === exit && words.test(`${stdout}${stderr}`), `status ${status}: ${stdout}${stderr}`);
  }

  /** @param {string} what @param {boolean} isSo @param {string} said */
  function tell(what, isSo, said) {
    if (!isSo) failures += 1;
    console.log(`${isSo ? 'ok  ' : 'FAIL'} ${what}: ${said.trim().split('\n').at(-1)}`);
  }
}

/** @param {string} file */
function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function makeChroot() {
  if (existsSync(chroot)) return;
  console.log(`making ${chroot} (some minutes)`);
  mkdirSync(cache, { recursive: true });
  const without = ['doc', 'man', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  const include = '--include=linux-image-amd64,initramfs-tools,zstd';
  rmSync(`${chroot}.half`, { recursive: true, force: true });
  execFileSync('mmdebstrap', ['--quiet', '--variant=apt', include, ...without, 'bookworm', `${chroot}.half`], {
    stdio: 'inherit',
  });
  renameSync(`${chroot}.half`, chroot);
}

/**
 * An initrd of the chroot's that mounts squashfs, which the one that Debian makes does not. The chroot stays as it is.
 * @param {string} version of the kernel
 */
function initrdWithSquashfs(version) {
  const initrd = path.join(work, 'initrd');
  const script = `
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
    mount -t proc proc /mnt/root/proc
    mount --bind /dev /mnt/root/dev
    echo squashfs >>/mnt/root/etc/initramfs-tools/modules
    chroot /mnt/root mkinitramfs -c gzip -o /boot/trial "$2"
    cp /mnt/root/boot/trial "$3"`;
  execFileSync('unshare', ['--mount', 'sh', '-ec', script, 'sh', chroot, version, initrd], { stdio: 'pipe' });
  return initrd;
}

/** @returns {Promise<typeof import('../src/checks/boot-vm.ts')>} */
async function bundled() {
  const outfile = path.join(work, 'boot-vm.mjs');
  await build({
    entryPoints: [path.join(top, 'src/checks/boot-vm.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['koffi'],
    banner: { js: "import { createRequire as r_ } from 'node:module'; const require = r_(import.meta.url);" },
    logLevel: 'error',
  });
  return import(outfile);
}

/**
 * @param {string} directory
 * @param {string} prefix
 */
function theFile(directory, prefix) {
  const name = readdirSync(directory).find((one) => one.startsWith(prefix));
  if (name === undefined) throw new Error(`cannot find ${prefix} in ${directory}`);
  return path.join(directory, name);
}

/**
 * @param {string} name
 * @param {string[]} more
 */
function image(name, more) {
  const file = path.join(work, `${name}.img`);
  execFileSync(
    'mksquashfs',
    [chroot, file, '-comp', 'zstd', '-Xcompression-level', '3', '-noappend', '-quiet', ...more],
    {
      stdio: 'pipe',
    },
  );
  return file;
}

/**
 * @param {string} file
 * @returns {Promise<string>} its URI
 */
async function serve(file) {
  const port = await freePort();
  const config = `${file}.conf`;
  writeFileSync(
    config,
    `[generic]\nport = ${port}\nlistenaddr = 127.0.0.1\n[it]\nexportname = ${file}\nreadonly = true\n`,
  );
  // it goes into the background, and ends with the namespace
  const script = 'nbd-server -C "$0" -p "$0.pid" && exec sleep infinity';
  const command = ['--pdeathsig', 'KILL', 'unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', script, config];
  servers.push(spawn('setpriv', command, { stdio: 'ignore' }));
  while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 50));
  return `nbd://127.0.0.1:${port}/it`;
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
