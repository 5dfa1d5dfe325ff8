import { printable } from '../../report/printable.ts';

/**
 * What keeps clients from booting an image. `broken`: clients that get it do not come up. `doubtful`: it may be meant so,
 * concerns a kernel that clients do not get as there is a better one, or could not be looked at.
 */
export type BootProblem = { severity: 'broken' | 'doubtful' } & BootCause;

/** `kernel` is a version or, for one without, a file name; `why` is a sentence or ends one. */
export type BootCause =
  | { kind: 'init'; why: string }
  | { kind: 'boot'; why: string }
  /** Meant so where clients have their kernels from elsewhere. */
  | { kind: 'no-kernel' }
  | { kind: 'kernel'; kernel: string; why: string }
  | { kind: 'modules'; kernel: string; why: string }
  | { kind: 'no-initrd'; kernel: string }
  | { kind: 'initrd'; kernel: string; initrd: string; why: string }
  | { kind: 'initrd-unread'; kernel: string; initrd: string; why: string }
  /** `others` are versions that the initrd has modules of, in place of the kernel's. */
  | { kind: 'squashfs'; kernel: string; initrd: string; others: readonly string[] }
  | { kind: 'network-root'; kernel: string; initrd: string };

/** One line for the log or the terminal: what is wrong, and what to do. */
export function describe(problem: BootProblem): string {
  return printable(wordsOf(problem));
}

function wordsOf(problem: BootProblem): string {
  switch (problem.kind) {
    case 'init':
      return `${problem.why} (reinstall the init system's package in the chroot)`;
    case 'boot':
      return problem.why;
    case 'no-kernel':
      return 'there is no kernel in boot/ (install one in the chroot, unless clients get theirs from elsewhere)';
    case 'kernel':
      return `kernel ${problem.kernel}: ${problem.why} (reinstall its package in the chroot)`;
    case 'modules':
      return `kernel ${problem.kernel}: ${problem.why} (reinstall its package in the chroot, or remove it from boot/)`;
    case 'no-initrd':
      return `kernel ${problem.kernel}: it has no initrd in boot/ (${remake('-c', problem.kernel)})`;
    case 'initrd':
      return `kernel ${problem.kernel}: boot/${problem.initrd} ${problem.why} (${remake('-u', problem.kernel)})`;
    case 'initrd-unread':
      return `kernel ${problem.kernel}: nobody has looked into boot/${problem.initrd}: it ${problem.why}`;
    case 'squashfs':
      return `kernel ${problem.kernel}: boot/${problem.initrd} cannot mount a squashfs root: ${lacking(problem.others)}`;
    case 'network-root':
      return `kernel ${problem.kernel}: boot/${problem.initrd} has neither nbd nor nfs, to get a root over the network (install ltsp-client, or add one of them to etc/initramfs-tools/modules in the chroot, then run update-initramfs -u there)`;
  }
}

function lacking(others: readonly string[]): string {
  if (others.length > 0) return `its modules are for ${others.join(', ')} (run update-initramfs -u in the chroot)`;
  return 'it has no squashfs module (add squashfs to etc/initramfs-tools/modules in the chroot, then run update-initramfs -u there)';
}

function remake(option: '-c' | '-u', kernel: string): string {
  return `run update-initramfs ${option} -k ${kernel} in the chroot`;
}
