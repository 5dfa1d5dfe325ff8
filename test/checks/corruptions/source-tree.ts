import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type Files, makeSmallChroot } from '../../end-to-end/small-chroot.ts';
import { oneOf, type Random } from './random.ts';

const WORDS = [
  'client',
  'kernel',
  'image',
  'export',
  'superblock',
  'the',
  'of',
  'and',
  '0',
  '1',
  '\n',
  '    ',
  '/usr/lib/',
];

/**
 * Makes a chroot that has some of everything: texts of all sizes, what cannot be compressed, owners, modes, links of both
 * sorts, a device, extended attributes, and a directory with many entries.
 * @param noise bytes of the large file that cannot be compressed
 */
export function makeSourceTree(chroot: string, noise: number, random: Random): void {
  const files: Record<string, string | Buffer> = {
    'usr/lib/libc.so.6': text(1_500_000, random),
    'usr/lib/firmware.bin': bytes(noise, random),
    'usr/share/icons.cache': Buffer.concat([bytes(150_000, random), Buffer.alloc(200_000), bytes(150_000, random)]),
  };
  for (let at = 0; at < 400; at++) files[`usr/share/doc/package-${at}/copyright`] = text(random(3000), random);
  for (let at = 0; at < 60; at++) files[`usr/bin/program-${at}`] = text(random(60_000), random);
  for (let at = 0; at < 30; at++) files[`usr/lib/modules/${at}.ko`] = bytes(random(20_000), random);
  for (let at = 0; at < 600; at++) files[`usr/share/zoneinfo/zone-with-a-long-name-${at}`] = `${random(1e9)}`;
  makeSmallChroot(chroot, files satisfies Files);
  const inside = (file: string): string => path.join(chroot, file);
  for (let at = 0; at < 20; at++) {
    fs.chownSync(inside(`usr/bin/program-${at}`), random(60_000), random(60_000));
    fs.linkSync(inside(`usr/lib/modules/${at}.ko`), inside(`usr/lib/modules/link-${at}.ko`));
    fs.symlinkSync(`program-${at}`, inside(`usr/bin/alias-${at}`));
    execFileSync('setfattr', ['-n', 'user.origin', '-v', `${random(1e9)}`, inside(`usr/bin/program-${at + 20}`)]);
  }
  fs.chmodSync(inside('usr/bin/program-0'), 0o4755);
  execFileSync('mknod', [inside('dev/null'), 'c', '1', '3']);
}

function text(length: number, random: Random): string {
  const words: string[] = [];
  for (let done = 0; done < length; done += 6) words.push(oneOf(random, WORDS));
  return words.join(' ').slice(0, length);
}

function bytes(length: number, random: Random): Buffer {
  const all = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) all.writeUInt32LE(random(2 ** 32), at);
  return all;
}
