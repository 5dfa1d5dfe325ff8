// Idle CPU and memory of the daemon's whole process tree with 1, 10 and 50 chroots, over twice the longest timer.
//   node bench/idle.mjs [MINUTES]      (default 11: look_every is 5 minutes)
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cpuSeconds, memory, processTree, startDaemon } from './processes.mjs';

const COUNTS = [1, 10, 50];
/** With the regular looks and as good as without: the difference is what they cost. */
const LOOKS = ['5m', '24h'];
const minutes = Number(process.argv[2] ?? 11);
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-idle-'));

/** A chroot as far as the daemon's timers and watches go: the directories of dpkg with 2,000 package files. @param {string} chroot */
function makeChroot(chroot) {
  for (const name of [
    'bin',
    'sbin',
    'etc',
    'lib',
    'dev',
    'proc',
    'sys',
    'run',
    'var/lib/dpkg/info',
    'var/lib/dpkg/updates',
    'var/log',
    'var/lib/apt',
  ]) {
    fs.mkdirSync(path.join(chroot, name), { recursive: true });
  }
  for (const name of [
    'bin/true',
    'bin/sh',
    'sbin/init',
    'etc/passwd',
    'var/log/dpkg.log',
    'var/lib/apt/extended_states',
  ]) {
    fs.writeFileSync(path.join(chroot, name), 'x\n');
  }
  fs.writeFileSync(path.join(chroot, 'var/lib/dpkg/status'), 'Package: a\nStatus: install ok installed\nVersion: 1\n');
  for (let index = 0; index < 2000; index += 1)
    fs.writeFileSync(path.join(chroot, `var/lib/dpkg/info/p${index}.list`), '');
}

const daemons = [];
try {
  for (const [count, looks] of COUNTS.flatMap((one) => LOOKS.map((every) => /** @type {const} */ ([one, every])))) {
    const root = path.join(directory, `${count}-${looks}`);
    fs.mkdirSync(path.join(root, 'etc/ltsp'), { recursive: true });
    fs.writeFileSync(path.join(root, 'etc/ltsp/ltsp-autoimage.toml'), `[watch]\nlook_every = "${looks}"\n`);
    for (let index = 0; index < count; index += 1) makeChroot(path.join(root, 'opt/ltsp', `c${index}`));
    const daemon = startDaemon(root);
    for (let index = 0; index < count; index += 1) {
      await daemon.next(0, ({ event, name }) => event === 'image.published' && name === `c${index}`);
    }
    daemons.push({ count, looks, daemon });
  }
  await new Promise((resolve) => setTimeout(resolve, 30_000));
  const measured = daemons.map((one) => ({ ...one, cpu: cpuSeconds(one.daemon.pid), at: performance.now() }));
  await new Promise((resolve) => setTimeout(resolve, minutes * 60_000));
  console.log(`idle for ${minutes} minutes; memory is the PSS of the whole process tree`);
  console.log('chroots  look_every         CPU %   CPU ms / min     memory MB  processes');
  for (const { count, looks, daemon, cpu, at } of measured) {
    const used = cpuSeconds(daemon.pid) - cpu;
    const seconds = (performance.now() - at) / 1000;
    const tree = processTree(daemon.pid);
    const columns = [(used / seconds) * 100, (used / seconds) * 60_000, memory(tree)].map((value) => value.toFixed(3));
    console.log(
      [String(count).padStart(7), looks.padStart(10), ...columns.map((text) => text.padStart(12)), tree.length].join(
        '  ',
      ),
    );
  }
} finally {
  await Promise.all(daemons.map(({ daemon }) => daemon.stop()));
  fs.rmSync(directory, { recursive: true, force: true });
}
