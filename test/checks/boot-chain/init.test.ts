import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { initProblem } from '../../../src/checks/boot-chain/init.ts';

/** A program of this machine with all that it needs to start. */
const PROGRAM = fs.realpathSync('/bin/true');
const NEEDED = execFileSync('ldd', [PROGRAM], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];

let root: string;
let init: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'init-'));
  for (const file of NEEDED) {
    fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    fs.copyFileSync(file, path.join(root, file));
  }
  init = path.join(root, 'sbin/init');
  fs.mkdirSync(path.join(root, 'sbin'));
  fs.mkdirSync(path.join(root, 'usr/lib/systemd'), { recursive: true });
  fs.copyFileSync(PROGRAM, path.join(root, 'usr/lib/systemd/systemd'));
  fs.symlinkSync('/usr/lib/systemd/systemd', init);
});
afterEach(() => fs.rmSync(root, { recursive: true }));

it('a program that has what it needs can run', () => {
  expect(NEEDED.length).toBeGreaterThan(1);
  expect(initProblem(root)).toBeNull();
  // as the proof of it
  execFileSync('chroot', [root, '/sbin/init']);
});

describe('cannot run', () => {
  const put = (content: string, mode = 0o755): void => {
    fs.rmSync(init);
    fs.writeFileSync(init, content, { mode });
  };

  it.each<[string, () => void, RegExp]>([
    ['that is not there', () => fs.rmSync(init), /^sbin\/init is missing$/],
    [
      'that is a dangling link',
      () => fs.rmSync(path.join(root, 'usr/lib/systemd/systemd')),
      /^sbin\/init is a dangling link$/,
    ],
    ['that is empty', () => put(''), /^sbin\/init is empty$/],
    ['that is not executable', () => put('#!/bin/sh', 0o644), /^sbin\/init is not executable$/],
    ['that is text', () => put('hello'), /^sbin\/init is neither a program nor a script$/],
    ['that is half a program', () => put('\x7fELF'), /^sbin\/init is neither a program nor a script$/],
    [
      'that is a script without its shell',
      () => put('#! /bin/sh -e\n'),
      /^sbin\/init is a script for \/bin\/sh, which is/,
    ],
    [
      'that is a script whose shell has lost a library',
      () => {
        put('#!/usr/lib/systemd/systemd\n');
        const libc = NEEDED.find((file) => path.basename(file) === 'libc.so.6') ?? '';
        fs.rmSync(path.join(root, libc));
      },
      /^sbin\/init is a script for \/usr\/lib\/systemd\/systemd, which needs the library libc\.so\.6, which is missing$/,
    ],
    [
      'that is a directory',
      () => {
        fs.rmSync(init);
        fs.mkdirSync(init);
      },
      /^sbin\/init is no file$/,
    ],
    [
      'that is a FIFO, which is not opened',
      () => {
        fs.rmSync(init);
        execFileSync('mkfifo', ['-m', '755', init]);
      },
      /^sbin\/init is no file$/,
    ],
    ['without its ld.so', () => fs.rmSync(path.join(root, loader())), /^sbin\/init needs \/lib\S*, which is missing$/],
    [
      'without libc',
      () => fs.rmSync(path.join(root, NEEDED.find((file) => file.includes('libc.so')) ?? '')),
      /^sbin\/init needs the library libc\.so\.6, which is missing$/,
    ],
    [
      'with an empty libc',
      () => fs.truncateSync(path.join(root, NEEDED.find((file) => file.includes('libc.so')) ?? '')),
      /^sbin\/init needs the library libc\.so\.6, which is missing$/,
    ],
  ])('one %s', (_, breakIt, words) => {
    breakIt();
    expect(initProblem(root)).toMatch(words);
  });
});

it('a program whose headers are damaged at any place is no reason to fail', () => {
  const data = fs.readFileSync(PROGRAM);
  fs.rmSync(init);
  for (let at = 4; at < 800; at += 3) {
    const damaged = Buffer.from(data);
    damaged.fill(0xff, at, at + 8);
    fs.writeFileSync(init, damaged, { mode: 0o755 });
    expect(() => initProblem(root), `bytes from ${at}`).not.toThrow();
  }
});

it('the init of this machine, and its systemd where it has one, can run', () => {
  if (fs.existsSync('/sbin/init')) expect(initProblem('/')).toBeNull();
});

function loader(): string {
  return NEEDED.find((file) => /\/ld[-.]/.test(file)) ?? '';
}
