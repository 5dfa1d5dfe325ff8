import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { CancelledError } from '../errors.ts';
import { printable } from '../report/printable.ts';
import { run } from '../system/processes.ts';
import type { BootResult } from './boot-container.ts';
import { lastWords } from './boot-vm/last-words.ts';

export type VmBootOptions = {
  /** Regular files, out of the image that is booted. */
  kernel: string;
  initrd: string;
  /** Where the image is served: nbd://HOST:PORT/EXPORT. */
  nbdUri: string;
  /** Milliseconds for the boot; without KVM it takes some twenty seconds. */
  timeout: number;
};

const QEMU = 'qemu-system-x86_64';
/** Megabytes: for the kernel and an unpacked initrd with all its modules. */
const MEMORY = 768;

const START = `command -v "$0" >/dev/null || { echo no-qemu; exit; }; exec "$0" "$@"`;

/**
 * Boots an image's own kernel and initrd in a virtual machine (QEMU, with KVM where there is one), with the image as its
 * root over NBD, until a shell of the image's runs and says so. The machine ends with this process.
 * @throws CancelledError; UserError when the machine cannot be started, which says nothing about the image
 */
export async function bootInVm(options: VmBootOptions, signal: AbortSignal): Promise<BootResult> {
  const { kernel, timeout } = options;
  if (!isForPc(kernel)) return { kind: 'skipped', why: 'the image is not booted: its kernel is not one for a PC' };
  const marker = `boot-${randomBytes(8).toString('hex')}`;
  const { console, end } = await consoleOf(machine(options, marker), marker, timeout, signal);
  if (console.trim() === 'no-qemu') {
    return {
      kind: 'skipped',
      why: `the image is not booted: ${QEMU} is not installed (apt-get install qemu-system-x86)`,
    };
  }
  if (end === 'marker') return { kind: 'passed', what: 'its kernel and initrd boot it over NBD in a virtual machine' };
  const words = lastWords(console);
  const said = words.length === 0 ? 'nothing was heard of it' : words.join('; ');
  const how = end === 'limit' ? `no shell of its own ran after ${timeout / 1000} s` : 'it ended before its shell ran';
  return { kind: 'failed', why: `the image does not boot: ${how}: ${printable(said)}`, units: [] };
}

/** Linux' x86 boot protocol: "HdrS" at 0x202. */
function isForPc(kernel: string): boolean {
  const fd = fs.openSync(kernel, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
  try {
    const magic = Buffer.alloc(4);
    return fs.readSync(fd, magic, 0, 4, 0x202) === 4 && magic.toString('latin1') === 'HdrS';
  } finally {
    fs.closeSync(fd);
  }
}

function machine({ kernel, initrd, nbdUri }: VmBootOptions, marker: string): string[] {
  // panic: the kernel and the initrd's scripts then reboot, which ends the machine, instead of waiting for a person
  const root = 'root=/dev/vda rootfstype=squashfs ro rootdelay=0';
  // as init, the shell gets what stands behind the two dashes; the machine ends when it does
  const append = `console=ttyS0 panic=1 ${root} init=/bin/sh -- -c "echo; echo ${marker}"`;
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
    ...['-machine', 'q35,accel=kvm:tcg', '-cpu', 'max', '-m', String(MEMORY)],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny'],
    ...['-drive', `if=virtio,format=raw,readonly=on,file=${nbdUri.replaceAll(',', ',,')}`],
    ...['-kernel', kernel, '-initrd', initrd, '-append', append],
  ];
}

type Ended = { console: string; end: 'marker' | 'limit' | 'itself' };

async function consoleOf(args: string[], marker: string, timeout: number, signal: AbortSignal): Promise<Ended> {
  let console = '';
  const seen = new AbortController();
  const limit = AbortSignal.timeout(timeout);
  const onOutput = (text: string): void => {
    console += text;
    // on a line of its own: the kernel repeats its command line
    if (console.split(/\r?\n/).includes(marker)) seen.abort();
  };
  try {
    await run('sh', ['-c', START, QEMU, ...args], { onOutput, signal: AbortSignal.any([signal, seen.signal, limit]) });
    return { console, end: seen.signal.aborted ? 'marker' : 'itself' };
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    if (seen.signal.aborted) return { console, end: 'marker' };
    if (signal.aborted) throw new CancelledError('the boot was stopped');
    return { console, end: 'limit' };
  }
}
