import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stampOf, watchedPaths } from '../../src/watch/stamp.ts';
import { replace, temporaryDirectory, write } from './tree.ts';

let outside: string;
let chroot: string;

beforeEach(() => {
  outside = temporaryDirectory('stamp');
  chroot = path.join(outside, 'amd64');
  write(path.join(chroot, 'var/lib/dpkg/status'), 'one');
  write(path.join(chroot, 'etc/hostname'), 'x');
});

afterEach(() => {
  fs.rmSync(outside, { recursive: true, force: true });
});

const inside = (file: string): string => path.join(chroot, file);
const stamp = (): string => stampOf(watchedPaths(chroot, ['etc/hostname', 'opt/app']));

describe('the stamp of a chroot', () => {
  it('stays the same while nothing changes, also when files are read', () => {
    const before = stamp();
    fs.readFileSync(inside('var/lib/dpkg/status'));
    expect(stamp()).toBe(before);
  });

  it.each<[string, () => void]>([
    ['a replaced status', () => replace(inside('var/lib/dpkg/status'), 'two')],
    ['a removed status', () => fs.rmSync(inside('var/lib/dpkg/status'))],
    ['dpkg.log when it comes to be', () => write(inside('var/log/dpkg.log'), 'x')],
    ['an update that is not in the status yet', () => write(inside('var/lib/dpkg/updates/0001'), 'x')],
    ['a changed extra path', () => fs.appendFileSync(inside('etc/hostname'), 'y')],
    ['an extra path that comes to be', () => write(inside('opt/app/file'), 'x')],
  ])('tells of %s', (_what, change) => {
    const before = stamp();
    change();
    expect(stamp()).not.toBe(before);
  });

  it('tells of a change that keeps size and modification time', () => {
    const file = inside('etc/hostname');
    const { atime, mtime } = fs.statSync(file);
    const before = stamp();
    fs.writeFileSync(file, 'y');
    fs.utimesSync(file, atime, mtime);
    expect(stamp()).not.toBe(before);
  });

  it('stays inside the chroot', () => {
    write(path.join(outside, 'dpkg/status'), 'x');
    fs.rmSync(inside('var/lib/dpkg'), { recursive: true });
    fs.symlinkSync(path.join(outside, 'dpkg'), inside('var/lib/dpkg'));
    fs.symlinkSync(path.join(outside, 'dpkg'), inside('out'));
    const paths = watchedPaths(chroot, ['out', 'out/status', '../dpkg/status']);
    expect(paths.filter((file) => !file.startsWith(`${chroot}/`))).toEqual([]);
    const before = stampOf(paths);
    fs.appendFileSync(path.join(outside, 'dpkg/status'), 'y');
    expect(stampOf(paths)).toBe(before);
  });

  it('can be taken of what cannot be looked at', () => {
    fs.symlinkSync('loop', inside('loop'));
    expect(stampOf([inside('loop/x'), inside('etc/hostname/x')])).toBe(
      `${inside('loop/x')} ELOOP\n${inside('etc/hostname/x')} ENOTDIR`,
    );
  });
});
