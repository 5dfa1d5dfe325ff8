import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { PackageLock } from '../../src/chroot/package-lock.ts';
import { UserError } from '../../src/errors.ts';
import { Caretaker } from '../../src/jobs/caretaker.ts';
import { ImagesLock } from '../../src/jobs/images-lock.ts';
import { JobQueue } from '../../src/jobs/queue.ts';
import type { Outcome } from '../../src/report/control.ts';
import { makeSite, pastNow, type TestSite } from '../steps/site.ts';
import { FakeClock } from './fake-clock.ts';
import { GatedTree } from './gated-tree.ts';

const QUIET = 5_000;
const LOOK_EVERY = 300_000;
const PATIENT = { force: 'if changed', locks: 'wait' } as const;
const IMPATIENT = { force: 'if changed', locks: 'no wait' } as const;
const FORCED = { force: 'force', locks: 'wait' } as const;
const PACKAGES = { kind: 'packages', path: 'var/lib/dpkg/status' } as const;

let tree: GatedTree;
let clock: FakeClock;
let made: TestSite;
let chroot: Chroot;
let caretaker: Caretaker;

beforeEach(async () => {
  tree = new GatedTree();
  clock = new FakeClock();
  made = makeSite('', tree);
  chroot = await made.makeChroot('amd64');
  caretaker = newCaretaker();
});

/** As a program of its own has it: with a queue and a lock of its own. */
function newCaretaker(): Caretaker {
  const { site } = made;
  const lock = new ImagesLock(site.config.paths.lock, 'a test', async () => {});
  const one = new Caretaker(chroot, { site: () => site, queue: new JobQueue({ concurrency: 1 }), lock, clock });
  onTestFinished(() => one.close());
  return one;
}

function ask(request: Parameters<Caretaker['ask']>[0] = PATIENT): Promise<Outcome> {
  return caretaker.ask(request, () => {});
}

async function change(): Promise<void> {
  fs.appendFileSync(path.join(chroot.path, 'etc/passwd'), 'changed\n');
  await pastNow();
}

function generations(): string[] {
  const directory = path.join(made.server.images, '.generations/amd64');
  return fs.readdirSync(directory).filter((file) => file.endsWith('.img'));
}

describe('events', () => {
  it('come in a burst of a thousand and cost one look', async () => {
    for (let count = 0; count < 1000; count += 1) {
      caretaker.notice(PACKAGES);
      await clock.advance(1);
    }
    expect(tree.looks).toBe(0);
    expect(caretaker.activity).toMatchObject({ kind: 'waiting', reason: expect.stringContaining('quiet') });
    await clock.advance(QUIET);
    await made.told.next('image.published');
    expect((await ask()).kind).toBe('unchanged');
    expect(tree.looks).toBe(2);
    expect(made.told.count('build.started')).toBe(1);
  });

  it('that never end are looked at after the maximum wait', async () => {
    for (let seconds = 0; seconds < 15 * 60; seconds += 4) {
      expect(tree.looks).toBe(0);
      caretaker.notice(PACKAGES);
      await clock.advance(4_000);
    }
    await made.told.next('image.published');
    expect(tree.looks).toBe(1);
  });

  it.each(['look', 'build'] as const)('that come during a %s cause exactly one more look', async (place) => {
    const gate = tree.gate(place);
    caretaker.notice(PACKAGES);
    await clock.advance(QUIET);
    await gate.reached;
    for (const kind of ['look', 'start', 'schedule'] as const) caretaker.notice({ kind });
    caretaker.notice(PACKAGES);
    await clock.advance(10 * QUIET);
    expect(tree.looks).toBe(1);
    gate.open();
    await made.told.next('image.published');
    await clock.advance(QUIET);
    await made.told.next('image.unchanged');
    await clock.advance(10 * QUIET);
    expect(tree.looks).toBe(2);
    expect(caretaker.activity).toEqual({ kind: 'idle' });
  });
});

describe('one who asks', () => {
  it('is answered with what came of it, without a quiet period', async () => {
    const published = await ask();
    expect(published).toMatchObject({ name: 'amd64', kind: 'published' });
    expect(`${published.id}.img`).toBe(generations()[0]);
    expect(await ask()).toMatchObject({ kind: 'unchanged', id: null });
  });

  it('during a build is served by the next look and not by the running one', async () => {
    const gate = tree.gate('compare');
    const first = ask();
    await gate.reached;
    const second = ask();
    gate.open();
    expect((await first).kind).toBe('published');
    expect((await second).kind).toBe('unchanged');
    expect(tree.looks).toBe(2);
  });

  it('during a look that fails is served by the next one', async () => {
    tree.lookErrors.push(new UserError('cannot read it'));
    const gate = tree.gate('look');
    const first = ask();
    await gate.reached;
    const second = ask();
    gate.open();
    expect(await first).toMatchObject({ kind: 'failed', message: 'cannot read it' });
    expect((await second).kind).toBe('published');
  });

  it('and does not wait is refused when apt comes between look and build; one who waits is served later', async () => {
    const [former, look] = [tree.gate('look'), ask()];
    await former.reached;
    const [patient, impatient] = [ask(PATIENT), ask(IMPATIENT)];
    const gate = tree.gate('look');
    former.open();
    await look;
    await gate.reached;
    await change();
    const apt = PackageLock.take(chroot);
    gate.open();
    expect(await impatient).toMatchObject({
      kind: 'busy',
      message: 'cannot lock the packages of amd64: another program is using them',
    });
    apt.release();
    await clock.advance(QUIET);
    expect((await patient).kind).toBe('published');
  });

  it('and does not wait is refused while apt works, and nothing is looked at', async () => {
    const apt = PackageLock.take(chroot);
    const message = 'cannot build amd64 now: waiting for another program';
    expect(await ask(IMPATIENT)).toEqual({ name: 'amd64', kind: 'busy', message, id: null });
    expect(tree.looks).toBe(0);
    expect(caretaker.activity).toEqual({ kind: 'idle' });
    apt.release();
    expect((await ask(IMPATIENT)).kind).toBe('published');
  });

  it('while another program builds gets what that one made, and no second image', async () => {
    const other = newCaretaker();
    const look = tree.gate('look');
    const heard: string[] = [];
    const second = other.ask(PATIENT, (text) => heard.push(text));
    await look.reached;
    const gate = tree.gate('compare');
    const first = ask();
    await gate.reached;
    look.open();
    while (!heard.includes(`waiting for a test (pid ${process.pid})`)) await pastNow();
    gate.open();
    expect((await first).kind).toBe('published');
    expect((await second).kind).toBe('unchanged');
    expect(generations()).toHaveLength(1);
  });
});

describe('a look that fails', () => {
  it('is made again after watch.look_every, and says so meanwhile', async () => {
    tree.lookErrors.push(new UserError('cannot read it'));
    caretaker.notice(PACKAGES);
    await clock.advance(QUIET);
    expect(await made.told.next('build.failed')).toBe('cannot read it');
    await clock.advance(0);
    const until = clock.now() + LOOK_EVERY;
    expect(caretaker.activity).toEqual({ kind: 'waiting', reason: 'cannot read it', until });
    await clock.advance(LOOK_EVERY - 1);
    expect(tree.looks).toBe(1);
    await clock.advance(1 + QUIET);
    await made.told.next('image.published');
    expect(tree.looks).toBe(2);
  });

  it('before it could begin waits as well, and is told once', async () => {
    const lockFile = path.join(chroot.path, 'var/lib/dpkg/lock');
    fs.symlinkSync('/etc/passwd', lockFile);
    const why = expect.stringContaining('var/lib/dpkg/lock is a symlink');
    expect(await ask()).toMatchObject({ kind: 'failed', message: why });
    await clock.advance(0);
    expect(caretaker.activity).toMatchObject({ kind: 'waiting', reason: why });
    expect(made.told.count('build.failed')).toBe(1);
    fs.rmSync(lockFile);
    await pastNow();
    await clock.advance(LOOK_EVERY + QUIET);
    await made.told.next('image.published');
  });
});

describe('a chroot that changes while it is read', () => {
  const moved = [{ path: 'etc/passwd', message: 'etc/passwd changed' }];

  it('is built again, and left alone for a while after the third time', async () => {
    tree.changes.push(moved, moved, moved);
    const asked = ask();
    await voidTimes(3);
    const message =
      'cannot use the image of amd64: the chroot changed while it was read (etc/passwd changed), 3 times in a row';
    expect(await asked).toMatchObject({ kind: 'failed', message });
    expect(made.told.count('build.started')).toBe(3);
    expect(generations()).toEqual([]);
    // each try has three again
    tree.changes.push(moved, moved);
    await clock.advance(LOOK_EVERY);
    await voidTimes(5);
    await clock.advance(QUIET);
    await made.told.next('image.published');
    expect(made.told.count('build.started')).toBe(6);
  });

  it('is built by force again when it was so the first time', async () => {
    await ask();
    tree.changes.push(moved);
    expect((await ask(FORCED)).kind).toBe('published');
    expect(made.told.count('build.void')).toBe(1);
    expect(generations()).toHaveLength(2);
  });

  /** Lets the quiet periods pass until there have been so many void images. */
  async function voidTimes(count: number): Promise<void> {
    for (let seen = made.told.count('build.void'); seen < count; seen = made.told.count('build.void')) {
      await clock.advance(QUIET);
    }
  }
});

describe('a revert', () => {
  it('ends the running build and holds: what was asked for meanwhile is not built', async () => {
    await ask();
    await change();
    await ask();
    const [first, second] = generations();
    await change();
    const gate = tree.gate('compare');
    const building = ask();
    await gate.reached;
    const asked = ask();
    const reverted = await caretaker.revert(null);
    expect(reverted).toMatchObject({ kind: 'reverted', id: first?.slice(0, -'.img'.length) });
    expect(await building).toMatchObject({ kind: 'cancelled' });
    expect(await asked).toMatchObject({ kind: 'skipped', message: expect.stringContaining('on hold') });
    expect(generations()).toEqual([first, second]);
  });

  it('ends a forced build that waits for apt: who asked is told, and it is not built when apt is done', async () => {
    await ask();
    await change();
    await ask();
    const apt = PackageLock.take(chroot);
    caretaker.notice({ kind: 'trigger', force: 'force' });
    const waiting = ask(FORCED);
    const [first] = generations();
    expect(await caretaker.revert(null)).toMatchObject({ kind: 'reverted', id: first?.slice(0, -'.img'.length) });
    const message = 'a revert of amd64 was asked for';
    expect(await waiting).toEqual({ name: 'amd64', kind: 'cancelled', message, id: null });
    expect(caretaker.activity).toEqual({ kind: 'idle' });
    apt.release();
    await clock.advance(10 * QUIET);
    expect(made.told.count('build.started')).toBe(2);
    expect(generations()).toHaveLength(2);
  });

  it('that cannot be made leaves the build that it ended due', async () => {
    const gate = tree.gate('compare');
    caretaker.notice(PACKAGES);
    await clock.advance(QUIET);
    await gate.reached;
    const message = 'cannot revert amd64: there is no previous image (amd64.img.old)';
    expect(await caretaker.revert(null)).toEqual({ name: 'amd64', kind: 'failed', message, id: null });
    expect(generations()).toEqual([]);
    await clock.advance(QUIET);
    await made.told.next('image.published');
  });
});

describe('when it is closed', () => {
  it('all who wait are told, a running build is undone, and nothing is taken any more', async () => {
    const gate = tree.gate('compare');
    const first = ask();
    await gate.reached;
    const second = ask();
    await caretaker.close();
    expect((await first).kind).toBe('cancelled');
    expect(await second).toMatchObject({ kind: 'cancelled', message: 'the program is stopping' });
    expect(fs.readdirSync(path.join(made.server.images, '.generations/amd64'))).toEqual([]);
    expect(await ask()).toMatchObject({ kind: 'cancelled' });
    caretaker.notice(PACKAGES);
    await clock.advance(LOOK_EVERY);
    expect(tree.looks).toBe(1);
  });

  it('it does not wait for a quiet period any more', async () => {
    caretaker.notice(PACKAGES);
    await clock.advance(1);
    await caretaker.close();
    await clock.advance(QUIET);
    expect(tree.looks).toBe(0);
  });
});
