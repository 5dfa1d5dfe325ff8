import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Trigger } from '../../src/watch/flag-file.ts';
import type { Source } from '../../src/watch/source.ts';
import { watchTriggers } from '../../src/watch/trigger-source.ts';
import { Heard } from './heard.ts';
import { temporaryDirectory } from './tree.ts';

let top: string;
let directory: string;
let triggers: Heard<Trigger>;
let notices: Heard<string>;
let source: Source | undefined;

beforeEach(() => {
  top = temporaryDirectory('trigger-source');
  directory = path.join(top, 'run/trigger');
  triggers = new Heard();
  notices = new Heard();
});

afterEach(async () => {
  await source?.close();
  fs.rmSync(top, { recursive: true, force: true });
});

async function watch(): Promise<void> {
  const onTrigger = (trigger: Trigger): void => {
    expect(fs.existsSync(path.join(directory, trigger.name))).toBe(false);
    triggers.add(trigger);
  };
  source = await watchTriggers(directory, { onTrigger, onNotice: notices.add });
}

const at = (name: string): string => path.join(directory, name);
const shell = (command: string): unknown => execFileSync('sh', ['-c', command], { cwd: directory });
const named = (name: string) => (trigger: Trigger) => trigger.name === name;

describe('flag files', () => {
  it('are taken from a directory that is made where it is missing', async () => {
    await watch();
    expect(fs.statSync(directory).mode & 0o007).toBe(0);
    shell('touch amd64');
    expect(await triggers.next(named('amd64'))).toEqual({ name: 'amd64', force: 'if changed' });
  });

  it('count when they were touched before', async () => {
    fs.mkdirSync(directory, { recursive: true });
    shell('touch amd64; echo force > all');
    await watch();
    await triggers.next(named('amd64'));
    expect(await triggers.next(named('all'))).toEqual({ name: 'all', force: 'force' });
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  it('say force in each of 50 redirections of a shell', async () => {
    await watch();
    for (let i = 0; i < 50; i += 1) {
      shell(`echo force > flag-${i}`);
      expect(await triggers.next(named(`flag-${i}`))).toEqual({ name: `flag-${i}`, force: 'force' });
    }
    expect(triggers.all).toHaveLength(50);
  });

  it('say force when the writer takes a moment, and when it writes no newline', async () => {
    await watch();
    shell('(sleep 0.2; printf force) > amd64');
    expect(await triggers.next(named('amd64'))).toEqual({ name: 'amd64', force: 'force' });
    shell('printf "please force it" > arm64');
    expect(await triggers.next(named('arm64'))).toEqual({ name: 'arm64', force: 'force' });
  });

  it('do not say force by another word, nor beyond 4 KB', async () => {
    await watch();
    shell('echo enforced > amd64; { head -c 5000 /dev/zero | tr "\\0" " "; echo force; } > arm64');
    expect(await triggers.next(named('amd64'))).toMatchObject({ force: 'if changed' });
    expect(await triggers.next(named('arm64'))).toMatchObject({ force: 'if changed' });
  });

  it('are told of once, however often they are touched before they are taken', async () => {
    await watch();
    shell('for i in 1 2 3 4 5; do touch amd64; done; echo force > last');
    await triggers.next(named('last'));
    await triggers.next(named('amd64'));
    shell('touch end');
    await triggers.next(named('end'));
    expect(triggers.all.filter(named('amd64'))).toHaveLength(1);
  });
});

describe('what is no flag file', () => {
  it('is reported and removed unread: a FIFO, a symlink, a socket, a name that no chroot has', async () => {
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(path.join(top, 'secret'), 'force\n');
    const server = net.createServer().listen(at('socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    shell(
      `mkfifo fifo; ln -s ${top}/secret link; ln -s /nowhere dangling; touch .hidden 'a b' "$(printf 'tab\\there')"`,
    );
    await watch();
    for (const name of ['fifo', 'socket', 'link', 'dangling', '.hidden', 'a b', 'tab\\there']) {
      await notices.next((text) => text.startsWith(`"${directory}/${name}" is no flag file and is removed: `));
    }
    server.close();
    expect(fs.readdirSync(directory)).toEqual([]);
    expect(fs.readFileSync(path.join(top, 'secret'), 'utf8')).toBe('force\n');
    expect(triggers.all).toEqual([]);
  });

  it('is reported once and left: a directory', async () => {
    await watch();
    shell('mkdir amd64; touch amd64/file');
    const text = await notices.next((one) => one.includes('amd64'));
    expect(text).toBe(`cannot take "${at('amd64')}" as a flag file: it is a directory (remove it)`);
    shell('touch arm64');
    await triggers.next(named('arm64'));
    expect(notices.all).toEqual([text]);
    shell('rm -r amd64; touch amd64');
    await triggers.next(named('amd64'));
  });
});

describe('a program that floods the directory', () => {
  it('loses nothing', async () => {
    await watch();
    const child = spawn('sh', ['-c', 'i=0; while [ $i -lt 500 ]; do : > "n$i"; i=$((i+1)); done'], { cwd: directory });
    await new Promise((resolve) => child.once('exit', resolve));
    for (let i = 0; i < 500; i += 1) await triggers.next(named(`n${i}`));
    expect(triggers.all).toHaveLength(500);
  });
});
