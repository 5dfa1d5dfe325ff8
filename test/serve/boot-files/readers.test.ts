import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { type Exchange, removeFormer, switchBootDirectory, undoSwitch } from '../../../src/serve/boot-files/switch.ts';
import { exchange } from '../../../src/system/posix.ts';
import { type BootSite, makeBootSite, prepared, removeBootSite, write } from './site.ts';

/** Large enough to be read in several calls. */
const SIZE = 300_000;

let site: BootSite;
beforeEach(() => {
  site = makeBootSite('memory');
});
afterEach(() => removeBootSite(site, 'memory'));

/**
 * Fetches the files named without pause until its input ends, as a TFTP server does; tells of the first round, of one that
 * begins after each line of its input, and of all.
 */
const READER = `
const fs = require('node:fs');
const [size, ...files] = process.argv.slice(1);
const seen = new Set(), failures = []; let ended = false, asked = true, reads = 0;
process.stdin.on('end', () => { ended = true; }).on('data', () => { asked = true; });
(function read() {
  const last = ended, answers = asked;
  asked = false;
  for (const file of files) {
    try {
      const data = fs.readFileSync(file);
      if (data.length !== Number(size) || data.some((byte) => byte !== data[0])) failures.push(file + ' is torn');
      seen.add(String.fromCharCode(data[0]));
    } catch (error) { failures.push(String(error)); }
  }
  reads++;
  if (answers) console.log('read all');
  if (last) console.log(JSON.stringify({ reads, failures: failures.slice(0, 5), seen: [...seen].sort() }));
  else setImmediate(read);
})();`;

/** The image with its newest kernel, told by `abi`, made of one letter. */
function setImage(abi: number, letter: string): void {
  fs.rmSync(site.image, { recursive: true });
  write(site.image, {
    [`boot/vmlinuz-6.1.0-${abi}-amd64`]: letter.repeat(SIZE),
    [`boot/initrd.img-6.1.0-${abi}-amd64`]: letter.toUpperCase().repeat(SIZE),
    [`lib/modules/6.1.0-${abi}-amd64/modules.dep`]: '',
  });
}

it.each<[string, Exchange, RegExp | null]>([
  ['never gets a torn one or none in 200 switches by exchange', exchange, null],
  [
    'never gets a torn one in 200 switches file by file',
    () => {
      throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
    },
    // undo takes new kernels away at once: one that has read a link in that instant finds nothing, and asks again
    /^Error: ENOENT/,
  ],
])('a client that fetches kernel and initrd without pause %s', async (_, way, mayHappen) => {
  const step = async () => {
    const { plan, boot, layout, live } = await prepared(site);
    await makeNext(plan, boot, layout);
    switchBootDirectory(plan, layout, way);
    return { plan, live };
  };
  setImage(1, 'a');
  const { live } = await step();
  write(live, { 'lts.conf': 'L'.repeat(SIZE) });
  const reader = await startReader(live);
  for (let turn = 0; turn < 100; turn++) {
    // another version, the same version made anew, and the way back of each
    setImage(turn % 4 < 2 ? 2 : 1, turn % 2 === 0 ? 'b' : 'c');
    const { plan } = await step();
    if (turn % 3 !== 0) undoSwitch(plan, way);
    else await step();
  }
  setImage(3, 'd');
  await step();
  const { failures, seen } = await reader.end();
  expect(failures.filter((one) => mayHappen?.test(one) !== true)).toEqual([]);
  // the first and the last are read in any case
  expect(seen).toEqual(expect.arrayContaining(['A', 'D', 'L', 'a', 'd']));
});

it('a client never misses a file in 100 switches file by file when the former files go after it has read the new ones', async () => {
  const step = async () => {
    const { plan, boot, layout, live } = await prepared(site);
    await makeNext(plan, boot, layout);
    const { how } = switchBootDirectory(plan, layout, () => {
      throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
    });
    return { plan, live, how };
  };
  setImage(1, 'a');
  const { live } = await step();
  write(live, { 'lts.conf': 'L'.repeat(SIZE) });
  const reader = await startReader(live);
  for (let turn = 0; turn < 100; turn++) {
    // each time other names, so that the targets of both links go
    setImage(2 + turn, 'bcd'[turn % 3] ?? 'e');
    const { plan, how } = await step();
    expect(how).toBe('piecewise');
    // who still reads by a former link has begun before this
    await reader.round();
    removeFormer(plan);
    const kernels = fs.readdirSync(live).filter((name) => name.startsWith('vmlinuz-'));
    expect(kernels.sort()).toEqual([`vmlinuz-6.1.0-${2 + turn}-amd64`, 'vmlinuz-amd64']);
  }
  const { failures, seen } = await reader.end();
  expect(failures).toEqual([]);
  expect(seen).toEqual(['B', 'C', 'D', 'L', 'a', 'b', 'c', 'd'].concat('A').sort());
});

async function startReader(live: string) {
  const files = ['vmlinuz-amd64', 'initrd.img-amd64', 'lts.conf'].map((name) => path.join(live, name));
  const reader = spawn(process.execPath, ['-e', READER, String(SIZE), ...files], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(reader.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('read all');
  return {
    round: async (): Promise<void> => {
      reader.stdin.write('\n');
      expect((await lines.next()).value).toBe('read all');
    },
    end: async (): Promise<{ failures: string[]; seen: string[] }> => {
      reader.stdin.end();
      const result = JSON.parse((await lines.next()).value);
      await once(reader, 'close');
      return result;
    },
  };
}
