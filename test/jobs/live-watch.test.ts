import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { Caretaker } from '../../src/jobs/caretaker.ts';
import { ImagesLock } from '../../src/jobs/images-lock.ts';
import { JobQueue } from '../../src/jobs/queue.ts';
import type { Outcome } from '../../src/report/control.ts';
import { readChrootState } from '../../src/store/chroot-state.ts';
import { imageFile, type StorePaths } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { generations, readRecord } from '../../src/store/records.ts';
import { systemClock } from '../../src/system/clock.ts';
import { makeSite, pastNow, type TestSite } from '../steps/site.ts';

let made: TestSite;
let chroot: Chroot;
let caretaker: Caretaker;
let paths: StorePaths;
beforeEach(async () => {
  made = makeSite('[watch]\nlook_every = "1h"\n');
  paths = made.site.config.paths;
  chroot = await made.makeChroot('amd64');
  const queue = new JobQueue({ concurrency: 1 });
  const lock = new ImagesLock(made.site.config.paths.lock, 'test', async () => {});
  caretaker = new Caretaker(chroot, { site: () => made.site, queue, lock, clock: systemClock });
  onTestFinished(() => caretaker.close());
});

async function build(motd: string): Promise<string> {
  fs.writeFileSync(path.join(chroot.path, 'etc/motd'), motd);
  await pastNow();
  const outcome: Outcome = await caretaker.ask({ force: 'if changed', locks: 'wait' }, () => {});
  if (outcome.kind !== 'published') throw new Error(outcome.message);
  return outcome.id ?? '';
}

/** Changes one byte of the image that clients get, in place, as a failing disk does. */
function rot(file = imageFile(paths, 'amd64'), at = 2000): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x40;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

const current = (): string | null => {
  const link = readLinks(paths, 'amd64').current;
  return link.kind === 'generation' ? link.id : null;
};

describe('the look at what clients get', () => {
  it.each(['sample', 'whole'] as const)('(%s) says nothing while it is what was checked', async (depth) => {
    await build('first\n');
    const before = made.told.events.length;
    await caretaker.lookAtLive(depth);
    expect(made.told.events.slice(before)).toEqual([]);
  });

  it.each(['sample', 'whole'] as const)('(%s) has an image that rotted built anew; .old stays', async (depth) => {
    const first = await build('first\n');
    const second = await build('second\n');
    const inputsBefore = readRecord(paths, 'amd64', second)?.inputs;
    rot();
    const from = made.told.events.length;
    await caretaker.lookAtLive(depth);
    expect(await made.told.next('live.damaged', from)).toMatch(
      /^amd64: the image that clients get is damaged: its digest is [0-9a-f]{64}, recorded is [0-9a-f]{64}; it is built anew$/,
    );
    await made.told.next('image.published', from);
    const id = current();
    expect(id).not.toBe(second);
    const { reason, inputs } = readRecord(paths, 'amd64', id ?? '') ?? {};
    expect({ reason, inputs }).toEqual({ reason: 'the present image is damaged on the disk', inputs: inputsBefore });
    expect(readLinks(paths, 'amd64').previous).toEqual({ kind: 'generation', id: first });
    // it stays for clients that cannot be seen, and is known to be no image to go back to
    const damaged = generations(paths, 'amd64').generations.filter(({ damagedAt }) => damagedAt !== null);
    expect(damaged.map((one) => one.id)).toEqual([second]);
  });

  it('one that was cut off is found as well', async () => {
    await build('first\n');
    fs.truncateSync(imageFile(paths, 'amd64'), 1000);
    const from = made.told.events.length;
    await caretaker.lookAtLive('sample');
    expect(await made.told.next('live.damaged', from)).toContain('it has 1000 bytes, recorded are 4096');
    await made.told.next('image.published', from);
  });

  it('where it cannot be built anew the newest sound one takes over, without hold and quarantine', async () => {
    const first = await build('first\n');
    const second = await build('second\n');
    const third = await build('third\n');
    rot();
    rot(path.join(paths.images, '.generations/amd64', `${second}.img`));
    const before = readChrootState(paths, 'amd64');
    // nothing can be built without it
    fs.renameSync(path.join(chroot.path, 'sbin/init'), path.join(chroot.path, 'sbin/gone'));
    await pastNow();
    const from = made.told.events.length;
    await caretaker.lookAtLive('sample');
    await made.told.next('image.rejected', from);
    expect(await made.told.next('image.reverted', from)).toBe(
      `amd64: image ${third} is damaged on the disk; image ${first}, the newest sound one, is live instead`,
    );
    expect(current()).toBe(first);
    const state = readChrootState(paths, 'amd64');
    expect(state.hold).toBeNull();
    expect(state.quarantine).toHaveLength(before.quarantine.length + 1);
  });

  it('says so where nothing older is sound, and leaves things as they are', async () => {
    const only = await build('first\n');
    rot();
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await pastNow();
    const from = made.told.events.length;
    await caretaker.lookAtLive('sample');
    expect(await made.told.next('revert.failed', from)).toBe(
      'cannot replace the damaged image of amd64: there is no older one that is sound',
    );
    expect(current()).toBe(only);
  });

  it('has an image built where there is none any more', async () => {
    await build('first\n');
    await build('second\n');
    fs.rmSync(imageFile(paths, 'amd64'));
    const from = made.told.events.length;
    await caretaker.lookAtLive('sample');
    await made.told.next('image.published', from);
    expect(current()).not.toBeNull();
  });
});
