import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { PackageLock } from '../../src/chroot/package-lock.ts';
import { configOf } from '../../src/config/config.ts';
import { type RebuildRequest, type RebuildResult, rebuild } from '../../src/jobs/rebuild.ts';
import { readChrootState } from '../../src/store/chroot-state.ts';
import { readHistory } from '../../src/store/history.ts';
import { journalDirectory } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { generations, readRecord } from '../../src/store/records.ts';
import { rejected } from '../../src/store/rejected.ts';
import { makeSite, pastNow, type TestSite } from '../steps/site.ts';

let made: TestSite;
let chroot: Chroot;
beforeEach(async () => {
  made = makeSite();
  chroot = await made.makeChroot('amd64');
});

function request(more: Partial<RebuildRequest> = {}): RebuildRequest {
  const settings = configOf(made.site.config, 'amd64');
  const signal = new AbortController().signal;
  return { chroot, settings, reason: 'a test', twin: 'new', signal, onProgress: () => {}, ...more };
}

async function publish(more: Partial<RebuildRequest> = {}): Promise<string> {
  const result = await rebuild(made.site, request(more));
  if (result.kind !== 'published') throw new Error(result.message);
  return result.id;
}

async function write(file: string, text: string): Promise<void> {
  fs.writeFileSync(path.join(chroot.path, file), text);
  await pastNow();
}

/** Ids of what clients get, and got before. */
function links(): (string | null)[] {
  const { current, previous } = readLinks(made.site.config.paths, 'amd64');
  return [current, previous].map((link) => (link.kind === 'generation' ? link.id : null));
}

/** What is left of a job that has ended: nothing, however it ended. */
function leftOver(): string[] {
  const { paths } = made.site.config;
  const directory = path.join(paths.images, '.generations/amd64');
  const partial = fs.existsSync(directory) ? fs.readdirSync(directory).filter((file) => file.includes('.partial')) : [];
  return [...partial, ...fs.readdirSync(journalDirectory(paths))];
}

describe('a rebuild', () => {
  it('publishes an image with a record of what it is made of and what it took, and history tells', async () => {
    const stages: string[] = [];
    const id = await publish({ onProgress: (text) => stages.push(text) });
    const { paths } = made.site.config;
    expect(links()).toEqual([id, null]);
    const record = readRecord(paths, 'amd64', id);
    expect(record).toMatchObject({ builder: 'mksquashfs', compression: 'gzip 6', packages: { base: '1' } });
    expect(record?.checks.map(({ name, passed }) => [name, passed])).toEqual([
      ['digest', true],
      ['required', true],
      ['content', true],
      ['contents', true],
      ['secrets', true],
      ['boot chain', true],
      ['live', true],
    ]);
    expect(record?.took).toEqual({ build: expect.any(Number), total: expect.any(Number) });
    expect(readHistory(paths, 'amd64')).toMatchObject([{ event: 'published', id, digest: record?.digest }]);
    expect([...new Set(stages)]).toEqual([
      'reading the chroot',
      'building the image',
      'checking the image',
      'publishing the image',
      'checking the published image',
    ]);
    expect(leftOver()).toEqual([]);
  });

  it('makes the former image .old; a twin takes the place of the current one and leaves .old alone', async () => {
    const first = await publish();
    await write('etc/motd', 'second\n');
    const second = await publish();
    expect(links()).toEqual([second, first]);
    const twin = await publish({ twin: 'twin' });
    expect(links()).toEqual([twin, first]);
  });

  it('leaves .old alone where keep.backup is false', async () => {
    const first = await publish();
    await write('etc/motd', 'second\n');
    const second = await publish();
    await write('etc/motd', 'third\n');
    const settings = configOf(made.site.config, 'amd64');
    const third = await publish({ settings: { ...settings, keep: { ...settings.keep, backup: false } } });
    expect(links()).toEqual([third, first]);
    expect(generations(made.site.config.paths, 'amd64').generations.map(({ id }) => id)).toContain(second);
  });

  it('ends a hold, and takes its inputs out of quarantine', async () => {
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await pastNow();
    expect((await rebuild(made.site, request())).kind).toBe('rejected');
    const settings = configOf(made.site.config, 'amd64');
    await publish({ settings: { ...settings, check: { ...settings.check, required: [] } } });
    expect(readChrootState(made.site.config.paths, 'amd64')).toMatchObject({ quarantine: [], hold: null });
  });
});

describe('an image that is built upon the former one', () => {
  it('is what a changed file costs, and the record says what was taken over', async () => {
    const first = await publish();
    expect(readRecord(made.site.config.paths, 'amd64', first)).toMatchObject({
      builder: 'mksquashfs',
      how: 'built in full: there is no former image',
    });
    await write('etc/motd', 'second\n');
    const second = await publish();
    expect(readRecord(made.site.config.paths, 'amd64', second)).toMatchObject({ builder: 'incremental' });
  });

  it('and is rejected is built again in full, before anything is held against its inputs', async () => {
    await publish();
    await write('etc/motd', 'second\n');
    // an image of something else, as a fault of the builder would make it
    const other = path.join(made.server.root, 'other');
    fs.mkdirSync(other);
    const incremental: typeof made.site.incremental = async (wanted, signal) => {
      const result = await made.site.incremental(wanted, signal);
      execFileSync('mksquashfs', [other, wanted.target, '-noappend', '-quiet', '-no-progress']);
      return result;
    };
    const from = made.told.events.length;
    const result = await rebuild({ ...made.site, incremental }, request());
    expect(result).toMatchObject({ kind: 'published' });
    const { paths } = made.site.config;
    const id = result.kind === 'published' ? result.id : '';
    const record = readRecord(paths, 'amd64', id);
    expect(record?.builder).toBe('mksquashfs');
    expect(record?.how).toMatch(
      /^built in full: the image that was built upon the former one was rejected: .*is missing/,
    );
    expect(await made.told.next('build.again', from)).toContain('amd64: building in full, since the image');
    expect(readChrootState(paths, 'amd64').quarantine).toEqual([]);
    expect(leftOver()).toEqual([]);
  });
});

describe('what a check rejects', () => {
  it('is not published: it is kept aside, its inputs are in quarantine, and the old image stays', async () => {
    const good = await publish();
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await pastNow();
    const result = await rebuild(made.site, request());
    const message = 'the new image of amd64 was rejected and the old one is live: sbin/init is missing';
    const aside = `${made.site.config.paths.images}/.generations/amd64/rejected.img`;
    expect(result).toEqual({ kind: 'rejected', message: `${message} (it is kept as ${aside})` });
    expect(links()).toEqual([good, null]);
    const { paths } = made.site.config;
    const kept = rejected(paths, 'amd64')?.record;
    expect(kept?.checks).toContainEqual(expect.objectContaining({ name: 'required', passed: false }));
    const { quarantine } = readChrootState(paths, 'amd64');
    expect(quarantine).toMatchObject([{ inputs: kept?.inputs, reason: 'sbin/init is missing' }]);
    expect(readHistory(paths, 'amd64').at(-1)).toMatchObject({
      event: 'rejected',
      message: `${message} (it is kept as ${aside})`,
    });
    expect(leftOver()).toEqual([]);
  });
});

describe('a rebuild that cannot go on', () => {
  it('is busy while somebody works with the packages, and tells who', async () => {
    const apt = PackageLock.take(chroot);
    const result = await rebuild(made.site, request());
    apt.release();
    expect(result).toMatchObject({ kind: 'busy', holder: 'another program' });
    expect(leftOver()).toEqual([]);
  });

  it('says that it was stopped, and lets the packages go', async () => {
    const stop = new AbortController();
    const onProgress = (text: string): void => {
      if (text === 'checking the image') stop.abort();
    };
    const message = 'the build of amd64 was stopped; nothing has changed for clients';
    const result: RebuildResult = await rebuild(made.site, request({ signal: stop.signal, onProgress }));
    expect(result).toEqual({ kind: 'cancelled', message });
    expect(links()).toEqual([null, null]);
    expect(readHistory(made.site.config.paths, 'amd64')).toEqual([]);
    PackageLock.take(chroot).release();
    expect(leftOver()).toEqual([]);
  });

  it('stopped after it published takes that back', async () => {
    const good = await publish();
    await write('etc/motd', 'second\n');
    const stop = new AbortController();
    const onProgress = (text: string): void => {
      if (text === 'checking the published image') stop.abort();
    };
    expect((await rebuild(made.site, request({ signal: stop.signal, onProgress }))).kind).toBe('cancelled');
    expect(links()).toEqual([good, null]);
    expect(generations(made.site.config.paths, 'amd64').generations.map(({ id }) => id)).toEqual([good]);
    expect(leftOver()).toEqual([]);
  });

  it('names the chroot in what it says, and history has it', async () => {
    const gone = { ...chroot, path: path.join(made.server.base, 'gone') };
    const message = `cannot build amd64: cannot read ${gone.path}: it does not exist`;
    expect(await rebuild(made.site, request({ chroot: gone }))).toEqual({ kind: 'failed', message });
    expect(readHistory(made.site.config.paths, 'amd64')).toMatchObject([{ event: 'failed', message }]);
    expect(leftOver()).toEqual([]);
  });

  it('after it published only tells what went wrong, and the image is live', async () => {
    const { paths } = made.site.config;
    fs.mkdirSync(path.join(paths.state, 'history/amd64.jsonl'), { recursive: true });
    const id = await publish();
    expect(links()).toEqual([id, null]);
    expect(made.told.events).toContainEqual({
      event: 'image.aftermath',
      message: expect.stringMatching(/^amd64: clients have what they should, but: /),
    });
  });
});
