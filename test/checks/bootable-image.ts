import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const CACHE = '/var/cache/ltsp-autoimage-test';
const NAME = 'trixie-systemd';
/** What scripts/trial-systemd makes, which shares it with the tests. */
const OPTIONS = ['--variant=apt', '--include=nodejs,systemd-sysv,dbus,squashfs-tools,procps'];

/** $1 is the original, $2 the image, $3 what to change with the chroot as working directory. */
const MAKE = `
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
(cd /mnt/root && eval "$3")
mksquashfs /mnt/root "$2" -comp lz4 -no-xattrs -noappend -quiet -no-progress
`;

/**
 * The image of a real Debian that systemd boots. It is made at the first call on a machine (some minutes), and each image
 * is one of a copy of its own, which costs nothing.
 * @param change a shell script that runs with the chroot as its working directory
 */
export function bootableImage(image: string, change = ''): void {
  const original = path.join(CACHE, NAME);
  fs.mkdirSync(CACHE, { recursive: true });
  const without = ['doc', 'locale', 'man'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  const make = 'rm -rf "$0.half"; mmdebstrap --quiet "$@" trixie "$0.half"; mv "$0.half" "$0"';
  const script = ['sh', '-ec', `[ -e "$0" ] || { ${make}; }`, original, ...without, ...OPTIONS];
  execFileSync('flock', [path.join(CACHE, 'lock'), ...script], { stdio: 'pipe' });
  execFileSync('unshare', ['--mount', 'sh', '-ec', MAKE, 'sh', original, image, change], { stdio: 'pipe' });
}
