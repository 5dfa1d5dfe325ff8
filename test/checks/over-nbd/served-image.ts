import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RecordedImage } from '../../../src/checks/over-nbd/read-whole.ts';

/** Programs that a check needs, nbd-server and nbdfuse aside. */
const BASE = ['sh', 'cat', 'mkdir', 'mkfifo', 'mount', 'setpriv', 'sleep', 'stat', 'unshare', 'losetup', 'env'];

/** A real image as it lies on a server, root:nbd 0640, with a directory for mounts and a PATH of its own. */
export class ServedImage {
  readonly directory: string;
  readonly mountPoint: string;
  readonly image: RecordedImage;
  readonly #path = process.env.PATH ?? '';

  constructor() {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'over-nbd-'));
    // nbd-server, as user nbd, has to get in
    fs.chmodSync(this.directory, 0o755);
    this.mountPoint = this.at('mnt');
    fs.mkdirSync(this.mountPoint, { mode: 0o700 });
    fs.mkdirSync(this.at('bin'));
    fs.mkdirSync(this.at('images'));
    const file = this.at('images/amd64.img');
    fs.writeFileSync(file, madeImage());
    execFileSync('chown', ['root:nbd', file]);
    fs.chmodSync(file, 0o640);
    const bytes = fs.readFileSync(file);
    this.image = { file, digest: sha256(bytes), size: bytes.length };
    // what is started inherits it, which is how `traces` knows it
    process.env.OVER_NBD_TEST = this.directory;
  }

  at(file: string): string {
    return path.join(this.directory, file);
  }

  /** A program that comes first on PATH. */
  fake(program: string, script: string): void {
    fs.writeFileSync(this.at(`bin/${program}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    process.env.PATH = `${this.at('bin')}:${this.#path}`;
  }

  /** A PATH with the base programs and these alone. */
  onlyWith(...programs: string[]): void {
    for (const program of [...BASE, ...programs]) fs.symlinkSync(`/usr/bin/${program}`, this.at(`bin/${program}`));
    process.env.PATH = this.at('bin');
  }

  /** Processes, mounts and loop devices of a check, and what it left in the directory of mounts. */
  traces(): string[] {
    const backing = execFileSync('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], {
      encoding: 'utf8',
    });
    return [
      ...pids()
        .filter((pid) => procFile(pid, 'environ').includes(`OVER_NBD_TEST=${this.directory}\0`))
        .map((pid) => `${pid} ${procFile(pid, 'cmdline')}`),
      ...pids().filter((pid) => procFile(pid, 'mountinfo').includes(this.directory)),
      ...backing.split('\n').filter((file) => file.includes(this.directory) || file.startsWith('/image')),
      ...fs.readdirSync(this.mountPoint),
    ];
  }

  /** The kernel takes down what a killed process had in its own time. */
  async untilNoTraces(): Promise<void> {
    await until(
      () => this.traces().length === 0,
      () => this.traces(),
    );
  }

  remove(): void {
    process.env.PATH = this.#path;
    delete process.env.OVER_NBD_TEST;
    fs.rmSync(this.directory, { recursive: true });
  }
}

let made: Buffer | undefined;

/** A squashfs image of two files; it is made once. */
function madeImage(): Buffer {
  if (made !== undefined) return made;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'over-nbd-tree-'));
  try {
    fs.mkdirSync(path.join(directory, 'tree'));
    fs.writeFileSync(path.join(directory, 'tree/hostname'), 'client\n');
    // more than all reads under way at once, and not to be compressed away
    fs.writeFileSync(path.join(directory, 'tree/noise'), noise(12_000_000));
    const names = [path.join(directory, 'tree'), path.join(directory, 'image')];
    execFileSync('mksquashfs', [...names, '-quiet', '-no-progress', '-noD', '-noF']);
    made = fs.readFileSync(path.join(directory, 'image'));
    return made;
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

export async function until(done: () => boolean, seen: () => unknown = () => ''): Promise<void> {
  for (let looks = 0; !done(); looks++) {
    if (looks === 400) throw new Error(`it did not come to that: ${seen()}`);
    await delay(25);
  }
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The same bytes each time, without any order in them. */
export function noise(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 64) }, (_, at) =>
    createHash('sha512').update(`${at}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

function pids(): string[] {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

function procFile(pid: string, name: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
