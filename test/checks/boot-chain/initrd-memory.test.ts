import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { InitrdLook } from '../../../src/checks/boot-chain/initrd.ts';
import { InitrdMemory } from '../../../src/checks/boot-chain/initrd-memory.ts';

const READ: InitrdLook = {
  kind: 'read',
  init: 'present',
  modules: new Set(['6.1/squashfs']),
  versions: new Set(['6.1']),
  compressions: [{ name: 'gzip', config: 'CONFIG_RD_GZIP', by: 'zlib' }],
  damage: null,
};

let directory: string;
let looks: number;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'initrd-memory-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true }));
  fs.mkdirSync(path.join(directory, 'root/boot'), { recursive: true });
  looks = 0;
});

/** A new one each time, as after a restart. */
function recall(content: string, found: InitrdLook): Promise<InitrdLook> {
  fs.writeFileSync(path.join(directory, 'root/boot/initrd.img'), content);
  const look = async (): Promise<InitrdLook> => {
    looks += 1;
    return found;
  };
  return new InitrdMemory(path.join(directory, 'memory')).recall(path.join(directory, 'root'), 'boot/initrd.img', look);
}

it.each<InitrdLook>([READ, { kind: 'unusable', why: 'is empty' }])(
  'an initrd is looked into once: %o',
  async (found) => {
    expect(await recall('bytes', found)).toEqual(found);
    expect(await recall('bytes', { kind: 'unusable', why: 'another' })).toEqual(found);
    expect(looks).toBe(1);
  },
);

it('one with other bytes is another one', async () => {
  await recall('bytes', READ);
  expect(await recall('bytez', { kind: 'unusable', why: 'is bad' })).toEqual({ kind: 'unusable', why: 'is bad' });
});

it('that nothing could be found out is asked again', async () => {
  await recall('bytes', { kind: 'unread', why: 'took too long' });
  expect(await recall('bytes', READ)).toEqual(READ);
});

it('what it remembers is bounded, and nonsense in it counts as forgotten', async () => {
  for (let count = 0; count < 60; count += 1) await recall(`initrd ${count}`, READ);
  const memory = path.join(directory, 'memory');
  expect(fs.readdirSync(memory)).toHaveLength(50);
  for (const name of fs.readdirSync(memory)) fs.writeFileSync(path.join(memory, name), '{');
  expect(await recall('initrd 59', { kind: 'unusable', why: 'x' })).toEqual({ kind: 'unusable', why: 'x' });
});
