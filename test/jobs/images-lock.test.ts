import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BusyError, CancelledError } from '../../src/errors.ts';
import { ImagesLock } from '../../src/jobs/images-lock.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'images-lock-'));
  file = path.join(directory, 'images/.lock');
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const never = new AbortController().signal;
const lock = (recover = async (): Promise<void> => {}): ImagesLock => new ImagesLock(file, 'ltsp-autoimage', recover);

/** A promise and what resolves it. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

it('two jobs of one program hold it together; another program gets it after both', async () => {
  const [ours, other] = [lock(), lock()];
  const [first, second] = [gate(), gate()];
  const jobs = [first, second].map(({ opened }) => ours.during('build', never, null, () => opened));
  await expect(other.during('revert', never, null, async () => 'x')).rejects.toThrow(BusyError);
  first.open();
  await jobs[0];
  await expect(other.during('revert', never, null, async () => 'x')).rejects.toThrow(
    `cannot revert: ltsp-autoimage (pid ${process.pid}) holds ${file}`,
  );
  second.open();
  await jobs[1];
  expect(await other.during('revert', never, null, async () => 'x')).toBe('x');
});

it('one that waits is told by whom it is held, once, and gets it afterwards', async () => {
  const [ours, other] = [lock(), lock()];
  const hold = gate();
  const job = ours.during('build', never, null, () => hold.opened);
  const told: string[] = [];
  const waiting = other.during(
    'revert',
    never,
    (holder) => told.push(holder),
    async () => 'done',
  );
  expect(told).toEqual([`ltsp-autoimage (pid ${process.pid})`]);
  hold.open();
  await job;
  expect(await waiting).toBe('done');
  expect(told).toHaveLength(1);
});

it('a wait can be ended', async () => {
  const [ours, other] = [lock(), lock()];
  const hold = gate();
  const job = ours.during('build', never, null, () => hold.opened);
  const stop = new AbortController();
  const waiting = other.during(
    'revert',
    stop.signal,
    () => stop.abort(),
    async () => 'done',
  );
  await expect(waiting).rejects.toThrow(CancelledError);
  hold.open();
  await job;
});

it('what a crash left is undone before the first job that gets it, each time it is newly taken', async () => {
  const order: string[] = [];
  const ours = lock(async () => void order.push('recover'));
  const job = (name: string): Promise<void> => ours.during('build', never, null, async () => void order.push(name));
  await Promise.all([job('one'), job('two')]);
  await job('three');
  expect(order).toEqual(['recover', 'one', 'two', 'recover', 'three']);
});

it('is free again after a job that failed', async () => {
  const ours = lock();
  const failing = ours.during('build', never, null, async () => {
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(await lock().during('build', never, null, async () => 'x')).toBe('x');
});
