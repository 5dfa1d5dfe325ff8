import fs from 'node:fs';
import path from 'node:path';
import { packageEntry } from './server.ts';

/** Path → content; what does not begin with a slash is below the chroot. */
export type Files = Readonly<Record<string, string | Buffer>>;

/** What a chroot has at least, with the lock files that every run of dpkg and apt leaves. Its programs are stand-ins. */
const LEAST: Files = {
  'bin/true': 'x',
  'bin/sh': 'x',
  'sbin/init': '#!/bin/sh\n',
  'etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
  'var/lib/dpkg/status': packageEntry('base', '1'),
  'var/lib/dpkg/lock': '',
  'var/lib/dpkg/lock-frontend': '',
};

/** Makes a chroot that can be built, with these files beside the least it needs. */
export function makeSmallChroot(chroot: string, files: Files = {}): void {
  for (const directory of ['dev', 'proc', 'sys', 'run', 'lib', 'var/log']) {
    fs.mkdirSync(path.join(chroot, directory), { recursive: true });
  }
  for (const [file, content] of Object.entries({ ...LEAST, ...files })) {
    fs.mkdirSync(path.dirname(path.join(chroot, file)), { recursive: true });
    fs.writeFileSync(path.join(chroot, file), content, { mode: /^s?bin\//.test(file) ? 0o755 : 0o644 });
  }
}
