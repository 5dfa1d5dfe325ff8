import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { type Exchange, switchBootDirectory, undoSwitch } from '../../../src/serve/boot-files/switch.ts';
import { exchange } from '../../../src/system/posix.ts';
import { type BootSite, makeBootSite, prepared, removeBootSite, write } from './site.ts';

/** Large enough to be read in several calls. */
const SIZE = 300_000;

let site: BootSite;
beforeEach(() => {
  site = makeBootSite('memory');
});
afterEach(() => removeBootSite(site, 'memory'));

/** Fetches the files named without pause until its input ends, as a TFTP server does; tells of the first, and of all. */
const READER = `
const fs = require('node:fs');
const [size, ...files] = process.argv.slice(1);
const seen = new Set(), failures = []; let ended = false, reads = 0;
process.stdin.on('end', () => { ended = true; }).resume();
(function read() {
  const last = ended;
  for (const file of files) {
    try {
      const data = fs.readFileSync(file);
      if (data.length !== Number(size) || data.some((byte) => byte !== data[0])) failures.push(file + ' is torn');
      seen.add(String.fromCharCode(data[0]));
    } catch (error) { failures.push(String(error)); }
  }
  if (reads++ === 0) console.log('reading');
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
    // one that has read a link in the instant before its target goes finds nothing, and asks again
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
  const files = ['vmlinuz-amd64', 'initrd.img-amd64', 'lts.conf'].map((name) => path.join(live, name));
  const reader = spawn(process.execPath, ['-e', READER, String(SIZE), ...files], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(reader.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('reading');
  for (let turn = 0; turn < 100; turn++) {
    // another version, the same version made anew, and the way back of each
    setImage(turn % 4 < 2 ? 2 : 1, turn % 2 === 0 ? 'b' : 'c');
    const { plan } = await step();
    if (turn % 3 !== 0) undoSwitch(plan, way);
    else await step();
  }
  setImage(3, 'd');
  await step();
  reader.stdin.end();
  const { failures, seen } = JSON.parse((await lines.next()).value);
  await once(reader, 'close');
  expect(failures.filter((one: string) => mayHappen?.test(one) !== true)).toEqual([]);
  // the first and the last are read in any case
  expect(seen).toEqual(expect.arrayContaining(['A', 'D', 'L', 'a', 'd']));
});
