import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { Caretaker } from '../../src/jobs/caretaker.ts';
import { Caretakers } from '../../src/jobs/caretakers.ts';
import { ImagesLock } from '../../src/jobs/images-lock.ts';
import { Journal } from '../../src/jobs/journal.ts';
import { JobQueue } from '../../src/jobs/queue.ts';
import { recoverJobs } from '../../src/jobs/recovery.ts';
import { publishStaged } from '../../src/steps/publish.ts';
import type { Site } from '../../src/steps/site.ts';
import { readChrootState, updateChrootState } from '../../src/store/chroot-state.ts';
import { readHistory } from '../../src/store/history.ts';
import { imageOf, journalDirectory } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { generations, readRecord, writeRecord } from '../../src/store/records.ts';
import { packageEntry } from '../end-to-end/server.ts';
import { makeJob, makeSite, pastNow, type TestSite } from '../steps/site.ts';
import { FakeClock } from './fake-clock.ts';
import { GatedTree } from './gated-tree.ts';

const QUIET = 5_000;
const HOUR = 3_600_000;
const PACKAGES = { kind: 'packages', path: 'var/lib/dpkg/status' } as const;
const PATIENT = { force: 'if changed', locks: 'wait' } as const;

let clock: FakeClock;
let made: TestSite;
let site: Site;
let chroot: Chroot;
let caretaker: Caretaker;

/** A chroot with an image, in lessons that last two hours more. */
async function lessons(inQuietHours: 'build' | 'wait', more = '', tree = new GatedTree()): Promise<void> {
  clock = new FakeClock();
  const time = (at: number): string => new Date(at).toISOString().slice(11, 16);
  const window = `${time(clock.now() - HOUR)}-${time(clock.now() + 2 * HOUR)}`;
  made = makeSite(
    `[schedule]\ntimezone = "UTC"\nquiet_hours = "${window}"\nin_quiet_hours = "${inQuietHours}"\n${more}`,
    tree,
  );
  site = { ...made.site, now: clock.now };
  chroot = await made.makeChroot('amd64');
  const parts = { site: () => site, queue: new JobQueue({ concurrency: 1 }), clock };
  const lock = new ImagesLock(site.config.paths.lock, 'a test', () => recoverJobs(site));
  caretaker = new Caretaker(chroot, { ...parts, lock });
  onTestFinished(() => caretaker.close());
  caretaker.notice(PACKAGES);
  await clock.advance(QUIET);
  await made.told.next('image.published');
}

/** A package is installed, of which an event tells; resolves when the quiet period is over. */
async function install(name = 'vim', version = '1'): Promise<void> {
  fs.appendFileSync(path.join(chroot.path, 'var/lib/dpkg/status'), `\n${packageEntry(name, version)}`);
  await pastNow();
  caretaker.notice(PACKAGES);
  await clock.advance(QUIET);
}

/** The message of the next event of that name after those that were. */
function next(event: string): Promise<string> {
  return made.told.next(event, made.told.events.length);
}

/** Ids of what clients get, and got before. */
function links(): (string | null)[] {
  const { current, previous } = readLinks(site.config.paths, 'amd64');
  return [current, previous].map((link) => (link.kind === 'generation' ? link.id : null));
}

function ids(): string[] {
  return generations(site.config.paths, 'amd64').generations.map(({ id }) => id);
}

/** Until lessons are over, and the quiet period after that. */
async function endOfLessons(): Promise<void> {
  await clock.advance(2 * HOUR + 60_000);
  await clock.advance(QUIET);
}

describe('in lessons, the first image of a chroot', () => {
  it('is published at once: nobody has one that could be disturbed', async () => {
    await lessons('wait');
    expect(links()).toEqual([ids()[0], null]);
  });
});

describe('in lessons, where changes are to wait', () => {
  beforeEach(() => lessons('wait'));

  it('a change is not built until they are over', async () => {
    const waiting = next('build.later');
    await install();
    expect(await waiting).toMatch(/^amd64: to be built when quiet hours end, at /);
    expect(caretaker.activity).toMatchObject({ kind: 'resting' });
    await install('more');
    expect(made.told.count('build.started')).toBe(1);
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(readRecord(site.config.paths, 'amd64', links()[0] ?? '')?.packages).toMatchObject({ vim: '1', more: '1' });
    expect(made.told.count('build.started')).toBe(2);
  });

  it('a person who asks gets an image at once', async () => {
    const waiting = next('build.later');
    await install();
    await waiting;
    expect(await caretaker.ask(PATIENT, () => {})).toMatchObject({ kind: 'published' });
    expect(caretaker.activity).toEqual({ kind: 'idle' });
  });

  it('a damaged image is built anew at once', async () => {
    const [current] = links();
    const record = readRecord(site.config.paths, 'amd64', current ?? '');
    if (record === undefined) throw new Error('there is no record');
    writeRecord(site.config.paths, { ...record, damagedAt: new Date(clock.now()).toISOString() });
    const published = next('image.published');
    // as after a build that failed: nothing but the disk tells that it is damaged
    caretaker.notice({ kind: 'look' });
    await clock.advance(QUIET);
    await published;
  });
});

describe('in lessons, a package that is urgent', () => {
  it('is let through, others are not', async () => {
    await lessons('wait', 'urgent = ["openssl*"]');
    const waiting = next('build.later');
    await install('vim');
    await waiting;
    const published = next('image.published');
    await install('openssl-provider');
    await published;
  });
});

describe('in lessons, where changes are to be built', () => {
  beforeEach(() => lessons('build'));

  /** Installs a package, and waits until its image is built and rests. */
  async function installAhead(name = 'vim'): Promise<string> {
    const staged = next('image.staged');
    await install(name);
    await staged;
    const waiting = next('build.later');
    await clock.advance(QUIET);
    expect(await waiting).toMatch(/^amd64: built, to be published when quiet hours end, at /);
    return readChrootState(site.config.paths, 'amd64').staged?.id ?? '';
  }

  it('an image is built and checked, and published when they are over without being built again', async () => {
    const [former] = links();
    const id = await installAhead();
    expect(links()).toEqual([former, null]);
    expect(readRecord(site.config.paths, 'amd64', id)?.checks.map(({ name }) => name)).toContain('content');
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(links()).toEqual([id, former]);
    expect(made.told.count('build.started')).toBe(2);
    expect(readChrootState(site.config.paths, 'amd64').staged).toBeUndefined();
    expect(readHistory(site.config.paths, 'amd64').map(({ event, id }) => [event, id])).toEqual([
      ['published', former],
      ['published', id],
    ]);
    expect(fs.readdirSync(journalDirectory(site.config.paths))).toEqual([]);
  });

  it('a further change makes another one, and the first goes', async () => {
    const [former] = links();
    const first = await installAhead();
    const second = await installAhead('more');
    expect(ids()).toEqual([former, second]);
    expect(second).not.toBe(first);
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(links()).toEqual([second, former]);
  });

  it('a change just before they are over, of which no event told, is not left out', async () => {
    const ahead = await installAhead();
    fs.writeFileSync(path.join(chroot.path, 'etc/motd'), 'new\n');
    await pastNow();
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(links()[0]).not.toBe(ahead);
    expect(ids()).not.toContain(ahead);
  });

  it('a person who asks has it published at once', async () => {
    const id = await installAhead();
    expect(await caretaker.ask(PATIENT, () => {})).toMatchObject({ kind: 'published', id });
    expect(made.told.count('build.started')).toBe(2);
  });

  it('a chroot that is put on hold meanwhile is left alone', async () => {
    const [former] = links();
    await installAhead();
    const hold = { since: new Date(clock.now()).toISOString(), reason: 'exams' };
    updateChrootState(site.config.paths, 'amd64', (state) => ({ ...state, hold }));
    const skipped = next('build.skipped');
    await endOfLessons();
    expect(await skipped).toContain('on hold');
    expect(links()).toEqual([former, null]);
  });

  it('an image whose publishing a crash interrupted is published after the next start', async () => {
    const [former] = links();
    const id = await installAhead();
    const { paths } = site.config;
    const record = readRecord(paths, 'amd64', id);
    if (record === undefined) throw new Error('there is no record');
    const candidate = { ...record, inputs: record.inputs ?? '' };
    const job = makeJob(site, chroot, { id, candidate });
    const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id });
    const plan = await publishStaged.prepare(job);
    journal.prepared(publishStaged.name, plan);
    await publishStaged.act(job, plan);
    expect(links()).toEqual([id, former]);
    journal.leave();

    await recoverJobs(site);
    expect(links()).toEqual([former, null]);
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(links()).toEqual([id, former]);
    expect(made.told.count('build.started')).toBe(2);
  });

  it('an image that rots until then is not published, but built again', async () => {
    const id = await installAhead();
    fs.appendFileSync(imageOf(site.config.paths, 'amd64', id), 'rot');
    const gone = next('build.void');
    const published = next('image.published');
    await endOfLessons();
    expect(await gone).toContain('its bytes are not those that were checked');
    await clock.advance(QUIET);
    await published;
    expect(ids()).not.toContain(id);
    expect(links()[0]).toBe(ids().at(-1));
  });

  it('one that somebody removed is built again', async () => {
    const id = await installAhead();
    fs.rmSync(imageOf(site.config.paths, 'amd64', id));
    const published = next('image.published');
    await endOfLessons();
    await published;
    expect(made.told.count('build.started')).toBe(3);
  });

  it('one that fails its checks is rejected at once', async () => {
    const rejected = next('image.rejected');
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await install();
    await rejected;
    expect(readChrootState(site.config.paths, 'amd64').staged).toBeUndefined();
    expect(made.told.notices.at(-1)).toMatchObject({ kind: 'rejected', name: 'amd64' });
  });

  it('one that a person made current by its id is no longer to be published', async () => {
    const [former] = links();
    const id = await installAhead();
    expect(await caretaker.revert(id)).toMatchObject({ kind: 'reverted', id });
    expect(await caretaker.ask({ force: 'force', locks: 'wait' }, () => {})).toMatchObject({ kind: 'published' });
    expect(ids()).toContain(former);
    expect(readChrootState(site.config.paths, 'amd64').staged).toBeUndefined();
    expect(made.told.count('image.aftermath')).toBe(0);
  });
});

describe('a hold', () => {
  let caretakers: Caretakers;

  beforeEach(async () => {
    clock = new FakeClock();
    const tree = new GatedTree();
    made = makeSite('', tree);
    site = { ...made.site, now: clock.now };
    chroot = await made.makeChroot('amd64');
    caretakers = new Caretakers({
      site: () => site,
      queue: new JobQueue({ concurrency: 1 }),
      lock: new ImagesLock(site.config.paths.lock, 'a test', async () => {}),
      clock,
      head: () => ({ daemon: { running: false, version: '' }, config: { ok: true } }),
      onAppeared: (one) => {
        caretaker = one;
      },
      onGone: async () => {},
    });
    onTestFinished(() => caretakers.close());
    await caretakers.rescan();
    expect(await caretaker.ask(PATIENT, () => {})).toMatchObject({ kind: 'published' });
  });

  const moment = (delay: number): string => new Date(clock.now() + delay).toISOString();

  it('keeps changes back until it is released, and history tells of both', async () => {
    expect(await caretakers.hold({ name: 'amd64', until: null })).toMatchObject({
      kind: 'held',
      message: 'amd64: on hold until ltsp-autoimage release amd64 or build amd64',
    });
    const skipped = next('build.skipped');
    await install();
    expect(await skipped).toContain('held by hand; release with ltsp-autoimage release amd64');
    const published = next('image.published');
    await caretakers.release('amd64');
    await clock.advance(QUIET);
    await published;
    const events = readHistory(site.config.paths, 'amd64').map(({ event }) => event);
    expect(events).toEqual(['published', 'held', 'released', 'published']);
  });

  it('ends by itself at its moment, and what changed meanwhile is built', async () => {
    await caretakers.hold({ name: 'amd64', until: moment(HOUR) });
    const skipped = next('build.skipped');
    await install();
    await skipped;
    expect((await caretakers.status()).chroots[0]?.hold).toMatchObject({ reason: 'held by hand' });
    const published = next('image.published');
    await clock.advance(HOUR + QUIET);
    await published;
    expect((await caretakers.status()).chroots[0]?.hold).toBeUndefined();
  });

  it('ends a build that has not been published', async () => {
    const skipped = next('build.skipped');
    const started = next('build.started');
    fs.writeFileSync(path.join(chroot.path, 'etc/motd'), 'new\n');
    await pastNow();
    const asked = caretaker.ask(PATIENT, () => {});
    await started;
    await caretakers.hold({ name: 'amd64', until: null });
    expect(await asked).toMatchObject({ kind: 'cancelled' });
    await clock.advance(QUIET);
    await skipped;
    expect(ids()).toHaveLength(1);
  });

  it('of a chroot that is not there is refused', async () => {
    expect(await caretakers.hold({ name: 'i386', until: null })).toMatchObject({ kind: 'unknown' });
  });
});
