import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Made once for all runs: half a minute to two, and 150 MB. */
const CACHE = '/var/cache/ltsp-autoimage-test';
const SUITE = 'bookworm';

/**
 * A real Debian chroot of its own: a copy of one that mmdebstrap makes at the first call on a machine.
 * @param parent the directory it is put in; a new one below the temporary directory when it is left out
 * @param name its last path part
 * @returns its path; `removeChroot` cleans up
 */
export async function realChroot(parent?: string, name = 'amd64'): Promise<string> {
  const original = path.join(CACHE, `${SUITE}-apt`);
  fs.mkdirSync(CACHE, { recursive: true });
  // several test files may be here at once: one makes it, the others wait
  const make = 'rm -rf "$0.half"; mmdebstrap "$@" "$0.half"; mv "$0.half" "$0"';
  const options = ['--quiet', '--variant=apt', ...['doc', 'locale', 'man'].map(withoutShared)];
  const script = ['sh', '-ec', `[ -e "$0" ] || { ${make}; }`, original, ...options, SUITE];
  execFileSync('flock', [path.join(CACHE, 'lock'), ...script], { stdio: 'inherit' });
  const directory = parent ?? fs.mkdtempSync(path.join(os.tmpdir(), 'real-chroot-'));
  const copy = path.join(directory, name);
  execFileSync('cp', ['-a', '--reflink=auto', original, copy]);
  return copy;
}

/** Removes a chroot and, when nothing else is in it, the directory it was put in. */
export function removeChroot(chroot: string): void {
  fs.rmSync(chroot, { recursive: true, force: true });
  if (fs.readdirSync(path.dirname(chroot)).length === 0) fs.rmdirSync(path.dirname(chroot));
}

export type PackageParts = {
  name: string;
  version: string;
  /** Absolute path → content; `/DEBIAN/postinst` and its like are maintainer scripts. What begins with #! is executable. */
  files: Readonly<Record<string, string>>;
};

/**
 * Makes a Debian package with dpkg-deb.
 * @returns its path as seen in the chroot, for `chroot DIR dpkg -i PATH` or `apt-get install PATH`
 */
export function makePackage(chroot: string, { name, version, files }: PackageParts): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'make-package-'));
  try {
    const all = { ...files, '/DEBIAN/control': control(name, version) };
    for (const [file, content] of Object.entries(all)) {
      fs.mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
      fs.writeFileSync(path.join(directory, file), content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
    }
    // mkdtemp's mode would become that of the chroot's root
    fs.chmodSync(directory, 0o755);
    // where a look doesn't count it
    const inside = `/var/tmp/${name}_${version}_all.deb`;
    execFileSync('dpkg-deb', ['--build', '--root-owner-group', directory, path.join(chroot, inside)], {
      stdio: 'pipe',
    });
    return inside;
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

function control(name: string, version: string): string {
  const fields = { Package: name, Version: version, Architecture: 'all', Maintainer: 'Test <root@localhost>' };
  const lines = Object.entries({ ...fields, Description: 'made for a test' });
  return `${lines.map(([field, value]) => `${field}: ${value}`).join('\n')}\n`;
}

function withoutShared(directory: string): string {
  return `--dpkgopt=path-exclude=/usr/share/${directory}/*`;
}
