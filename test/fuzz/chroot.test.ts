import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CpioError, CpioReader } from '../../src/checks/boot-chain/cpio.ts';
import { lookIntoInitrd } from '../../src/checks/boot-chain/initrd.ts';
import { readPackages } from '../../src/chroot/dpkg-state.ts';
import { UserError } from '../../src/errors.ts';
import { parseManifest, serializeManifest } from '../../src/tree/manifest.ts';
import { cpio } from '../checks/boot-chain/archives.ts';
import { packageEntry } from '../end-to-end/server.ts';
import { damaged } from './damaged.ts';

/** What comes out of a chroot is less trusted than anything else. */
let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

it("dpkg's status", () => {
  fs.mkdirSync(path.join(root, 'var/lib/dpkg/updates'), { recursive: true });
  const sample = packageEntry('base', '1') + packageEntry('half', '1:2~3-4', 'install ok half-configured');
  const tokens = ['Package: ', 'Status: ', '\n\n', 'Multi-Arch: same', ' install ok', 'Version:', ': ', '\n '];
  fc.assert(
    fc.property(damaged([sample], tokens), (bytes) => {
      fs.writeFileSync(path.join(root, 'var/lib/dpkg/status'), bytes);
      const { packages, unfinished } = readPackages({ name: 'amd64', path: root });
      for (const text of [...Object.values(packages), ...unfinished]) expect(typeof text).toBe('string');
    }),
    { numRuns: 150, endOnFailure: true },
  );
});

it('the archive in an initrd, whole or in pieces', () => {
  const archive = cpio({ init: 'x', 'lib/modules/6.1/kernel/fs/squashfs/squashfs.ko': 'y'.repeat(100) });
  const tokens = ['070701', '070702', '00000000', 'FFFFFFFF', 'TRAILER!!!\0'];
  fc.assert(
    fc.property(damaged([archive], tokens), fc.integer({ min: 1, max: 200 }), (bytes, piece) => {
      const names: string[] = [];
      const reader = new CpioReader(({ name }) => names.push(name));
      try {
        for (let at = 0; at < bytes.length; at += piece) {
          const chunk = bytes.subarray(at, at + piece);
          const read = reader.push(chunk);
          expect(read).toBeLessThanOrEqual(chunk.length);
          if (read < chunk.length) break;
        }
      } catch (error) {
        if (!(error instanceof CpioError)) throw error;
      }
    }),
    { numRuns: 250, endOnFailure: true },
  );
});

it('an initrd', async () => {
  const archive = cpio({ init: 'x' });
  const samples = [archive, Buffer.concat([archive, gzipSync(archive)]), gzipSync(archive)];
  await fc.assert(
    fc.asyncProperty(damaged(samples, ['070701', '\x1f\x8b', 'TRAILER!!!\0']), async (bytes) => {
      fs.writeFileSync(path.join(root, 'initrd'), bytes);
      const look = await lookIntoInitrd(root, 'initrd', undefined, { bytes: 10_000_000, seconds: 20 });
      expect(['read', 'unusable', 'unread']).toContain(look.kind);
    }),
    { numRuns: 80, endOnFailure: true },
  );
});

it('a manifest', () => {
  const entry = 'f\t0\t33188\t0\t0\t2\t1\t1\t1\t1\t1\t0\tetc/passwd\t';
  const sample = `HEADER\nstarted\t1\nignore\tvar/log\n${entry}\nend\t1\n`;
  const header = manifestHeader();
  fc.assert(
    fc.property(damaged([sample.replace('HEADER', header)], ['\t', 'end\t1', 'image\t', entry, '%0']), (bytes) => {
      try {
        parseManifest(bytes.toString('latin1'));
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
      }
    }),
    { numRuns: 250, endOnFailure: true },
  );
});

/** The first line that a manifest has to have. */
function manifestHeader(): string {
  return serializeManifest({ started: 1n, ignorePatterns: [], entries: [] }).split('\n', 1)[0] ?? '';
}
