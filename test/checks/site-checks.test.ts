import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runSiteChecks, type SiteChecksOptions, type SiteVerdict } from '../../src/checks/site-checks.ts';
import { CancelledError } from '../../src/errors.ts';
import { leftovers } from '../end-to-end/server.ts';

let parent: string;
let options: SiteChecksOptions;
beforeEach(() => {
  parent = fs.mkdtempSync(path.join(os.tmpdir(), 'site-checks-'));
  const directory = path.join(parent, 'check');
  fs.mkdirSync(path.join(directory, 'required.d'), { recursive: true });
  fs.mkdirSync(path.join(directory, 'wanted.d'));
  options = {
    directory,
    name: 'amd64',
    image: '/srv/amd64.img',
    root: '/proc/1/root/mnt',
    nbdUri: 'nbd://127.0.0.1:10810//opt/ltsp/amd64',
    timeout: 60_000,
  };
});
afterEach(() => {
  expect(leftovers(parent)).toEqual([]);
  fs.rmSync(parent, { recursive: true });
});

function put(program: string, script: string, mode = 0o755): void {
  fs.writeFileSync(path.join(options.directory, program), `#!/bin/sh\n${script}\n`, { mode });
}

function check(more: Partial<SiteChecksOptions> = {}, signal = new AbortController().signal): Promise<SiteVerdict> {
  return runSiteChecks({ ...options, ...more }, signal);
}

/** The file in which the programs leave their marks. */
const marks = (): string => path.join(parent, 'marks');

function marksLeft(): string[] {
  return fs.existsSync(marks()) ? fs.readFileSync(marks(), 'utf8').trim().split('\n') : [];
}

/** True when a process has this command line. */
function isAnywhere(commandLine: string): boolean {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.some((pid) => {
    try {
      return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8') === commandLine;
    } catch {
      return false;
    }
  });
}

describe("the site's own checks", () => {
  it('are none where there is no directory', async () => {
    expect(await check({ directory: path.join(parent, 'none') })).toEqual({ kind: 'passed', checks: [], warnings: [] });
  });

  it('run in order, the required ones first', async () => {
    for (const program of ['wanted.d/1', 'required.d/b', 'required.d/B', 'required.d/10']) {
      put(program, `echo ${program} >> ${marks()}`);
    }
    const verdict = await check();
    const order = ['required.d/10', 'required.d/B', 'required.d/b', 'wanted.d/1'];
    expect(marksLeft()).toEqual(order);
    expect(verdict.kind).toBe('passed');
    expect(verdict.checks.map(({ kind, program }) => [kind, program])).toEqual(order.map((one) => ['passed', one]));
  });

  it('have in their environment what they look at', async () => {
    put('wanted.d/env', `env | grep ^LTSP_AUTOIMAGE_ | sort >> ${marks()}`);
    await check();
    expect(marksLeft()).toEqual([
      'LTSP_AUTOIMAGE_CHECK=wanted',
      'LTSP_AUTOIMAGE_IMAGE=/srv/amd64.img',
      'LTSP_AUTOIMAGE_NAME=amd64',
      'LTSP_AUTOIMAGE_NBD_URI=nbd://127.0.0.1:10810//opt/ltsp/amd64',
      'LTSP_AUTOIMAGE_ROOT=/proc/1/root/mnt',
    ]);
  });

  it('have no URI of an image that is not served', async () => {
    put('required.d/env', '! printenv LTSP_AUTOIMAGE_NBD_URI');
    expect((await check({ nbdUri: null })).kind).toBe('passed');
  });

  it('reject when a required one fails, with the last lines that it wrote to either stream', async () => {
    put('required.d/bad', 'echo one; echo two; echo three >&2; echo four; exit 7');
    put('required.d/more', `echo ran >> ${marks()}; exit 1`);
    put('wanted.d/late', `echo late >> ${marks()}`);
    expect(await check()).toMatchObject({
      kind: 'rejected',
      reason:
        "the site's required.d/bad ended with status 7: two; three; four; the site's required.d/more ended with status 1",
    });
    expect(marksLeft()).toEqual(['ran']);
  });

  it('warn when a wanted one fails', async () => {
    put('wanted.d/bad', 'exit 1');
    expect(await check()).toMatchObject({
      kind: 'passed',
      warnings: ["the site's wanted.d/bad ended with status 1"],
    });
  });

  it('say of a file that is not run why it is not', async () => {
    put('required.d/README', 'exit 1', 0o644);
    put('required.d/old~', 'exit 1');
    expect(await check()).toMatchObject({
      kind: 'passed',
      checks: [{ kind: 'skipped', program: 'required.d/README', why: 'it is not executable' }],
      warnings: ["cannot run the site's required.d/README: it is not executable"],
    });
  });

  it('are ended at their limit with everything they started', async () => {
    put('required.d/hangs', 'setsid sleep 86399.25 & sleep 86399.25');
    const verdict = await check({ timeout: 500 });
    expect(verdict).toMatchObject({ reason: "the site's required.d/hangs took longer than 0.5 s and was ended" });
    while (isAnywhere('sleep\u000086399.25\u0000')) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('may write as much as they like, of which the end is kept, without control characters', async () => {
    put('required.d/loud', "yes | head -c 20000000; printf 'the \\033[31mend\\n'; exit 2");
    expect(await check()).toMatchObject({
      reason: expect.stringMatching(/ended with status 2: y; y; the \?\[31mend$/),
    });
  });

  it('reject when a required one cannot be started', async () => {
    fs.writeFileSync(path.join(options.directory, 'required.d/lost'), '#!/no/such/interpreter\n', { mode: 0o755 });
    expect(await check()).toMatchObject({
      kind: 'rejected',
      reason: expect.stringMatching(/status 127: .*not found$/),
    });
  });

  it('leave no mount of theirs', async () => {
    fs.mkdirSync(path.join(parent, 'mnt'));
    put('required.d/mounts', `mount -t tmpfs tmpfs ${path.join(parent, 'mnt')}`);
    expect((await check()).kind).toBe('passed');
    expect(leftovers(parent)).toEqual([]);
  });

  it('stop when they are told to', async () => {
    const stop = new AbortController();
    put('wanted.d/hangs', `echo started > ${marks()}; sleep 86399.75`);
    const running = check({}, stop.signal);
    while (marksLeft().length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    stop.abort();
    await expect(running).rejects.toThrow(new CancelledError('wanted.d/hangs was stopped'));
  });
});
