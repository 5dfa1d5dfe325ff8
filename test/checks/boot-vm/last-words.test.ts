import { expect, it } from 'vitest';
import { lastWords } from '../../../src/checks/boot-vm/last-words.ts';

it('of a kernel that panics are those up to the panic, without time stamps, registers and stack', () => {
  const console = [
    '[    2.100000] md: Waiting',
    '[    2.200000] VFS: Cannot open root device "vda" or unknown-block(0,0): error -6',
    '[    2.300000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
    '[    2.400000] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0',
    '[    2.500000] Call Trace:',
    '[    2.500000]  <TASK>',
    '[    2.600000] Rebooting in 1 seconds..',
  ].join('\r\n');
  expect(lastWords(console)).toEqual([
    'md: Waiting',
    'VFS: Cannot open root device "vda" or unknown-block(0,0): error -6',
    'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
  ]);
});

it('of any other guest are the last four lines that have something in them', () => {
  const console = 'a\n\nb\n\u001b[1;31mc\u001b[0m\n  d  \ne\n\n';
  expect(lastWords(console)).toEqual(['b', 'c', 'd', 'e']);
});

it('of an initrd that gives up are those before the end of the machine', () => {
  const console =
    'mounting failed\nGiving up.\n[ 9.1] ACPI: PM: Preparing to enter system sleep state S5\n[ 9.2] reboot: Restarting system\n';
  expect(lastWords(console)).toEqual(['mounting failed', 'Giving up.']);
});

it('of a guest that said nothing are none', () => {
  expect(lastWords('\n')).toEqual([]);
});
