import { expect, it } from 'vitest';
import { localBelow } from '../../src/build/submounts.ts';

const mount = (target: string, type: string) => ({ target, type, device: '8:1' });

it('finds file systems of local disks below a chroot, parents first, and none that hangs off a foreign one', () => {
  const all = [
    mount('/', 'ext4'),
    mount('/opt/ltsp/amd64', 'ext4'),
    mount('/opt/ltsp/amd64/boot/efi', 'vfat'),
    mount('/opt/ltsp/amd64/boot', 'ext4'),
    mount('/opt/ltsp/amd64/srv/büro 1', 'btrfs'),
    mount('/opt/ltsp/amd64/proc', 'proc'),
    mount('/opt/ltsp/amd64/net', 'nfs4'),
    mount('/opt/ltsp/amd64/net/disk', 'ext4'),
    mount('/opt/ltsp/amd64-next/boot', 'ext4'),
  ];
  expect(localBelow('/opt/ltsp/amd64', all)).toEqual(['boot', 'boot/efi', 'srv/büro 1']);
});

it('finds those below the root directory', () => {
  const all = [mount('/', 'ext4'), mount('/boot', 'ext4'), mount('/run', 'tmpfs'), mount('/home', 'xfs')];
  expect(localBelow('/', all)).toEqual(['boot', 'home']);
});

it('takes the mount that is on top where several are on one place', () => {
  expect(localBelow('/c', [mount('/c/x', 'ext4'), mount('/c/x', 'tmpfs')])).toEqual([]);
  expect(localBelow('/c', [mount('/c/x', 'tmpfs'), mount('/c/x', 'ext4')])).toEqual(['x']);
});
