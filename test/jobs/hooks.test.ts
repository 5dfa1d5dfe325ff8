import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { configOf } from '../../src/config/config.ts';
import { type RebuildResult, rebuild } from '../../src/jobs/rebuild.ts';
import { readHistory } from '../../src/store/history.ts';
import { journalDirectory } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { writeProgram } from '../report/notices/receivers.ts';
import { makeSite, pastNow, type TestSite } from '../steps/site.ts';

let made: TestSite;
let chroot: Chroot;
/** What hooks write, a line each. */
let told: string;
beforeEach(async () => {
  made = makeSite();
  chroot = await made.makeChroot('amd64');
  told = path.join(made.server.root, 'told');
});

function hook(name: string, script: string): void {
  writeProgram(path.join(made.server.root, 'etc/ltsp/autoimage.d', name), script);
}

type Circumstances = { signal?: AbortSignal; timeout?: number };

function build({ signal = new AbortController().signal, timeout }: Circumstances = {}): Promise<RebuildResult> {
  const general = configOf(made.site.config, 'amd64');
  const settings = timeout === undefined ? general : { ...general, check: { ...general.check, timeout } };
  return rebuild(made.site, { chroot, settings, reason: 'a test', twin: 'new', signal, onProgress: () => {} });
}

function current(): string {
  return readLinks(made.site.config.paths, 'amd64').current.kind;
}

describe('pre-build.d', () => {
  it('is run before the chroot is read or locked, in the order of names, and told what it is about', async () => {
    const lock = path.join(chroot.path, 'var/lib/dpkg/lock');
    const variables = ['HOOK', 'NAME', 'CHROOT', 'IMAGE', 'REASON'].map((name) => `$LTSP_AUTOIMAGE_${name}`);
    hook('pre-build.d/20-second', `echo second >> ${told}`);
    hook(
      'pre-build.d/10-first',
      `echo "${variables.join('|')}" > ${told}; echo new > ${chroot.path}/etc/motd; test ! -e ${lock}`,
    );
    const before = made.told.events.length;
    expect(await build()).toMatchObject({ kind: 'published', notes: [] });
    expect(made.told.events.slice(before).map(({ event }) => event)).toContain('image.published');
    const { images } = made.site.config.paths;
    expect(fs.readFileSync(told, 'utf8')).toBe(`pre-build|amd64|${chroot.path}|${images}/amd64.img|a test\nsecond\n`);
  });

  it('may refuse: nothing is built, with its last words, and no later one is run', async () => {
    hook('pre-build.d/10-no', 'echo one; echo "exams today" >&2; exit 4');
    hook('pre-build.d/20-second', `echo second > ${told}`);
    const message = "cannot build amd64: the site's pre-build.d/10-no ended with status 4: one; exams today";
    expect(await build()).toEqual({ kind: 'failed', message });
    expect(current()).toBe('absent');
    expect(fs.existsSync(told)).toBe(false);
    expect(readHistory(made.site.config.paths, 'amd64')).toMatchObject([{ event: 'failed', message }]);
    expect(fs.existsSync(path.join(made.site.config.paths.images, '.generations/amd64'))).toBe(false);
  });

  it('that takes too long is ended, with what it started, and refuses', async () => {
    hook('pre-build.d/hangs', `sleep 1000 & echo $! > ${told}; wait`);
    expect(await build({ timeout: 1000 })).toMatchObject({
      kind: 'failed',
      message: expect.stringContaining('pre-build.d/hangs took longer than 1 s and was ended'),
    });
    expect(current()).toBe('absent');
  });

  it('that others than root could change is not run, and told of', async () => {
    hook('pre-build.d/open', `echo open > ${told}; exit 1`);
    fs.chmodSync(path.join(made.server.root, 'etc/ltsp/autoimage.d/pre-build.d/open'), 0o777);
    const result = await build();
    expect(result).toMatchObject({ kind: 'published', notes: [expect.stringContaining('pre-build.d/open')] });
    expect(fs.existsSync(told)).toBe(false);
  });

  it('that runs when the build is to stop ends with it', async () => {
    const stop = new AbortController();
    hook('pre-build.d/slow', `echo running > ${told}; exec sleep 1000`);
    const building = build({ signal: stop.signal });
    while (!fs.existsSync(told)) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    expect(await building).toMatchObject({ kind: 'cancelled' });
    expect(fs.existsSync(journalDirectory(made.site.config.paths))).toBe(false);
  });
});

describe('post-publish.d', () => {
  it('is run once the image is live', async () => {
    hook('post-publish.d/mirror', `cp "$LTSP_AUTOIMAGE_IMAGE" ${told}`);
    expect(await build()).toMatchObject({ kind: 'published', notes: [] });
    expect(fs.readFileSync(told).equals(fs.readFileSync(made.server.image('amd64')))).toBe(true);
  });

  it('that fails is told of, takes nothing back and stops no later one', async () => {
    hook('post-publish.d/10-fails', 'echo "no mirror"; exit 1');
    hook('post-publish.d/20-second', `echo second > ${told}`);
    const result = await build();
    const note =
      "amd64: the site's post-publish.d/10-fails ended with status 1: no mirror; the image is live all the same";
    expect(result).toMatchObject({ kind: 'published', notes: [note] });
    expect(made.told.count('hook.failed')).toBe(1);
    expect(current()).toBe('generation');
    expect(fs.readFileSync(told, 'utf8')).toBe('second\n');
  });

  it('is not run for an image that is rejected', async () => {
    hook('post-publish.d/mirror', `echo ran > ${told}`);
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await pastNow();
    expect(await build()).toMatchObject({ kind: 'rejected' });
    expect(fs.existsSync(told)).toBe(false);
  });
});

describe('notices', () => {
  it('tell of an image that is live, and that all is well', async () => {
    const result = await build();
    const id = result.kind === 'published' ? result.id : '';
    expect(made.told.notices).toMatchObject([
      { kind: 'published', name: 'amd64', id, state: id },
      { kind: 'well-again', name: 'amd64' },
    ]);
  });

  it('tell of one that is rejected, by its inputs', async () => {
    fs.rmSync(path.join(chroot.path, 'sbin/init'));
    await pastNow();
    await build();
    await build();
    const [first, second] = made.told.notices;
    expect([first?.kind, second?.kind]).toEqual(['rejected', 'rejected']);
    expect(first?.state).toBe(second?.state);
    expect(first?.message).toContain('sbin/init');
  });
});
