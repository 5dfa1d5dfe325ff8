import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CancelledError, UserError } from '../../src/errors.ts';
import { confined, isRunning, run } from '../../src/system/processes.ts';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'processes-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

/** Waits until `file` has a line in it, and returns it. */
async function lineOf(file: string): Promise<string> {
  for (;;) {
    const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
    if (text.includes('\n')) return text.trim();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function gone(pid: number): Promise<void> {
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A program that writes the pid of a child of its own, as the host sees it, and stays. */
const stays = 'sleep 1000 & read pid rest < /proc/self/stat; echo "$pid" > "$1"; wait';

describe('run', () => {
  it('gives back both streams, without a shell in between', async () => {
    const { stdout } = await run('printf', ['%s|', 'a b', '$HOME', '*']);
    expect(stdout).toBe('a b|$HOME|*|');
  });

  it('names the Debian package of a program that is not installed', async () => {
    await expect(run('nbdfuse', [], { env: { PATH: directory } })).rejects.toThrow(UserError);
    for (const name of ['setpriv', 'unshare']) fs.symlinkSync(`/usr/bin/${name}`, path.join(directory, name));
    await expect(run('nbdfuse', [], { env: { PATH: directory } })).rejects.toThrow(
      'cannot run nbdfuse: it is not installed (apt-get install libnbd-bin)',
    );
  });

  it('says with what status and words a program failed', async () => {
    const failing = run('sh', ['-c', 'echo first >&2; echo last >&2; exit 7']);
    await expect(failing).rejects.toThrow('cannot finish sh: it ended with status 7: first; last');
  });

  it('ends a program that takes too long', async () => {
    await expect(run('sleep', ['1000'], { timeout: 50 })).rejects.toThrow(
      'cannot finish sleep: it took longer than 0.05 s',
    );
  });

  it('ends a program with everything it started when it is cancelled', async () => {
    const stop = new AbortController();
    const file = path.join(directory, 'pid');
    const running = run('sh', ['-c', stays, 'sh', file], { signal: stop.signal });
    const pid = Number(await lineOf(file));
    expect(isRunning(pid)).toBe(true);
    stop.abort();
    await expect(running).rejects.toThrow(CancelledError);
    await gone(pid);
  });
});

it('what runs confined ends with the program that started it, even by SIGKILL', async () => {
  const file = path.join(directory, 'pid');
  const script = `
    const { spawn } = require('node:child_process');
    const [file, args] = JSON.parse(process.argv[1]);
    spawn(file, args, { stdio: 'ignore' });
    setInterval(() => {}, 1000);`;
  const command = confined('sh', ['-c', stays, 'sh', file]);
  const parent = spawn(process.execPath, ['-e', script, JSON.stringify(command)], { stdio: 'ignore' });
  const pid = Number(await lineOf(file));
  expect(isRunning(pid)).toBe(true);
  parent.kill('SIGKILL');
  await gone(pid);
});
