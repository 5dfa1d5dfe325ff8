import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lookIntoInitrd } from '../../../src/checks/boot-chain/initrd.ts';
import { CancelledError } from '../../../src/errors.ts';
import { COMPRESSIONS, cpio, entry, padded } from './archives.ts';

const NAME = 'initrd.img';
const MICROCODE = cpio({ 'kernel/x86/microcode/GenuineIntel.bin': 'm'.repeat(3000) });
const MAIN = cpio({
  init: '#!/bin/sh',
  'usr/lib/modules/6.1.0-2-amd64/kernel/fs/squashfs/squashfs.ko.xz': 'module',
  'lib/modules/6.1.0-2-amd64/kernel/drivers/block/nbd.ko': 'module',
  'lib/modules/6.1.0-2-amd64/kernel/fs/empty/nfs.ko': '',
});
const FOUND = {
  ...{ kind: 'read', init: 'present', damage: null, versions: new Set(['6.1.0-2-amd64']) },
  modules: new Set(['6.1.0-2-amd64/squashfs', '6.1.0-2-amd64/nbd']),
};

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'initrd-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const look = (...parts: Buffer[]) => {
  fs.writeFileSync(path.join(root, NAME), Buffer.concat(parts));
  return lookIntoInitrd(root, NAME);
};

describe.each(Object.entries(COMPRESSIONS))('compression: %s', (name, compress) => {
  it('is read, with and without microcode before it', async () => {
    const main = compress(MAIN);
    expect(await look(main)).toMatchObject(FOUND);
    const both = await look(MICROCODE, Buffer.alloc(1024), main);
    expect(both).toMatchObject(FOUND);
    expect(both).toHaveProperty(
      'compressions',
      name === 'none' ? [] : [expect.objectContaining({ config: `CONFIG_RD_${name.toUpperCase()}` })],
    );
  });

  it('wherever it was cut off, that is told', async () => {
    const main = compress(
      Buffer.concat([cpio({ init: noise(20_000) }), MAIN.subarray(0, -512), entry('TRAILER!!!', '')]),
    );
    const random = randomFrom(name);
    for (const at of [1, 5, main.length - 1, ...Array.from({ length: 12 }, () => Math.floor(random() * main.length))]) {
      const found = await look(main.subarray(0, at));
      if (found.kind === 'read') expect(found.damage, `cut at ${at} of ${main.length}`).not.toBeNull();
      else expect(found.kind, `cut at ${at} of ${main.length}`).toBe('unusable');
    }
  });
});

it('parts that follow a compressed one are read', async () => {
  const more = cpio({ 'lib/modules/6.1.0-2-amd64/kernel/fs/nfs/nfs.ko': 'module' });
  for (const last of [more, zlib.gzipSync(more)]) {
    const found = await look(padded(zlib.gzipSync(MAIN), 4), Buffer.alloc(8), last);
    expect(found).toMatchObject({ damage: null, modules: new Set([...FOUND.modules, '6.1.0-2-amd64/nfs']) });
  }
});

it('what follows a whole archive and is none is told, and no reason to think that it has nothing', async () => {
  expect(await look(MAIN, Buffer.from('junk'))).toMatchObject({
    ...FOUND,
    damage: expect.stringContaining('no archive'),
  });
});

describe('is unusable when', () => {
  it.each<[string, Buffer, string]>([
    ['it is empty', Buffer.alloc(0), 'is empty'],
    ['it is all zeros', Buffer.alloc(4096), 'has no archive in it'],
    ['it is text', Buffer.from('not an initrd'), 'is neither a cpio archive nor compressed in a way that kernels know'],
    ['text is compressed', zlib.gzipSync('not an archive'), 'has something in it that is no cpio archive'],
    ['nothing is compressed', zlib.gzipSync(''), 'has no archive in it'],
    ['the archive is of the old form', Buffer.from('070707'.padEnd(200, '0')), 'is no cpio archive of the form "newc"'],
    ['junk follows the microcode', Buffer.concat([MICROCODE, Buffer.from('junk')]), 'has something from byte'],
  ])('%s', async (_, data, why) => {
    expect(await look(data)).toEqual({ kind: 'unusable', why: expect.stringContaining(why) });
  });

  it('it unpacks to more than clients have memory for, which is not read to its end', async () => {
    // a file that says of itself that it has 4 GB, and has some megabytes
    const data = Buffer.concat([entry('a', '', { size: 0xfffffff0 }), Buffer.alloc(8 * 1024 ** 2)]);
    for (const compress of Object.values(COMPRESSIONS)) {
      fs.writeFileSync(path.join(root, NAME), compress(data));
      expect(await lookIntoInitrd(root, NAME, undefined, { bytes: 1e6, seconds: 60 })).toEqual({
        kind: 'unusable',
        why: 'has more than 1 MB in it, which clients have no memory for',
      });
    }
  });

  it('it has files without end', async () => {
    const many = Buffer.concat(Array.from({ length: 20_000 }, () => entry('a', '')));
    expect(await look(zlib.gzipSync(Buffer.concat([many, ...Array.from({ length: 10 }, () => many)])))).toEqual({
      kind: 'unusable',
      why: 'has more than 200000 files in it',
    });
  });
});

it('where the program to unpack it is not installed, says which package brings it', async () => {
  const bin = path.join(root, 'bin');
  fs.mkdirSync(bin);
  for (const name of ['setpriv', 'unshare']) fs.symlinkSync(`/usr/bin/${name}`, path.join(bin, name));
  const before = process.env.PATH;
  try {
    const data = COMPRESSIONS.zstd?.(MAIN) ?? MAIN;
    process.env.PATH = bin;
    expect(await look(data)).toEqual({
      kind: 'unread',
      why: 'could not be unpacked: zstd is not installed (apt-get install zstd)',
    });
  } finally {
    process.env.PATH = before;
  }
});

it('that takes too long to unpack is left, and nothing is said against it', async () => {
  fs.writeFileSync(path.join(root, NAME), COMPRESSIONS.zstd?.(MAIN) ?? MAIN);
  // sooner than a program can start
  expect(await lookIntoInitrd(root, NAME, undefined, { bytes: 1e9, seconds: 0.001 })).toEqual({
    kind: 'unread',
    why: 'took longer than 0.001 s to unpack',
  });
});

it('can be stopped', async () => {
  fs.writeFileSync(path.join(root, NAME), zlib.gzipSync(MAIN));
  await expect(lookIntoInitrd(root, NAME, AbortSignal.abort())).rejects.toThrow(CancelledError);
});

/** Letters that do not compress well, the same in each run. */
function noise(length: number): string {
  const random = randomFrom('noise');
  return Array.from({ length }, () => String.fromCharCode(33 + Math.floor(random() * 90))).join('');
}

function randomFrom(seed: string): () => number {
  let state = [...seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
