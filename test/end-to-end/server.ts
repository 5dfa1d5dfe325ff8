import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Status } from '../../src/report/status.ts';

export const program = fileURLToPath(new URL('../../dist/ltsp-autoimage.js', import.meta.url));

export type LoggedEvent = { event: string; name?: string; id?: string; msg: string; reason?: string };

/** An LTSP server of its own below a temporary root directory, with the built program. */
export class Server {
  readonly root = fs.mkdtempSync(path.join(os.tmpdir(), 'server-'));
  readonly base = path.join(this.root, 'opt/ltsp');
  readonly images = path.join(this.base, 'images');
  readonly trigger = path.join(this.root, 'run/ltsp-autoimage/trigger');
  /** Environment of what is started from now on. */
  env: NodeJS.ProcessEnv = process.env;
  #daemon: Daemon | null = null;

  constructor() {
    fs.mkdirSync(this.base, { recursive: true });
    fs.mkdirSync(path.join(this.root, 'etc/ltsp'), { recursive: true });
    fs.mkdirSync(this.trigger, { recursive: true });
  }

  /** Quick settings, and what the test wants beside them. */
  configure(toml: string): void {
    fs.writeFileSync(path.join(this.root, 'etc/ltsp/ltsp-autoimage.toml'), toml);
  }

  /** A chroot of which every client program is a stand-in: enough for what needs no dpkg. */
  makeSmallChroot(name: string): string {
    const chroot = path.join(this.base, name);
    for (const directory of ['bin', 'sbin', 'etc', 'lib', 'dev', 'proc', 'sys', 'run', 'var/lib/dpkg', 'var/log']) {
      fs.mkdirSync(path.join(chroot, directory), { recursive: true });
    }
    for (const file of ['bin/true', 'bin/sh', 'etc/passwd']) fs.writeFileSync(path.join(chroot, file), 'x\n');
    fs.writeFileSync(path.join(chroot, 'sbin/init'), '#!/bin/sh\n', { mode: 0o755 });
    fs.writeFileSync(path.join(chroot, 'var/lib/dpkg/status'), packageEntry('base', '1'));
    return chroot;
  }

  image(name: string): string {
    return path.join(this.images, `${name}.img`);
  }

  /** Waits until mksquashfs writes a candidate: the tree has been walked, and is being read. */
  async buildAtWork(name: string): Promise<void> {
    const directory = path.join(this.images, '.generations', name);
    const isWritten = (file: string): boolean => {
      return (
        file.endsWith('.partial') && (fs.statSync(path.join(directory, file), { throwIfNoEntry: false })?.size ?? 0) > 0
      );
    };
    while (!fs.existsSync(directory) || !fs.readdirSync(directory).some(isWritten))
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async start(): Promise<Daemon> {
    this.#daemon = new Daemon(this.root, this.env);
    await this.#daemon.next('daemon.started');
    return this.#daemon;
  }

  /** Runs a command of the program to its end. */
  run(...args: string[]): Ran {
    const [command = '', ...rest] = args;
    const argv = [program, command, `--root=${this.root}`, ...rest];
    return spawnSync(process.execPath, argv, { encoding: 'utf8', env: this.env });
  }

  /** Starts a command of the program. */
  begin(...args: string[]): Command {
    const [command = '', ...rest] = args;
    return new Command([program, command, `--root=${this.root}`, ...rest], this.env);
  }

  /**
   * Runs a shell script in a mount namespace of its own, in the server's root directory. `ltsp COMMAND …` in it is the
   * program.
   */
  runScript(script: string): Ran {
    const prelude = `set -e; ltsp() { command=$1; shift; '${process.execPath}' '${program}' "$command" '--root=${this.root}' "$@"; }`;
    const args = ['--mount', '--propagation', 'private', 'sh', '-c', `${prelude}\n${script}`];
    return spawnSync('unshare', args, { encoding: 'utf8', cwd: this.root, env: this.env });
  }

  /** Puts a shell script first on PATH as mksquashfs; the real one is $REAL in it, and $ROOT the server's root. */
  fakeMksquashfs(script: string): void {
    const real = execFileSync('which', ['mksquashfs'], { encoding: 'utf8' }).trim();
    const directory = path.join(this.root, 'fake-bin');
    fs.mkdirSync(directory, { recursive: true });
    const text = `#!/bin/sh\nREAL='${real}'\nROOT='${this.root}'\n${script}\n`;
    fs.writeFileSync(path.join(directory, 'mksquashfs'), text, { mode: 0o755 });
    this.env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  }

  /** From now on mksquashfs begins its file and waits until it is let go on. */
  holdMksquashfs(): { letGo: () => void } {
    const go = path.join(this.root, 'go');
    fs.rmSync(go, { force: true });
    this.fakeMksquashfs('echo begun >"$2"; until [ -e "$ROOT/go" ]; do sleep 0.05; done; exec "$REAL" "$@"');
    return { letGo: () => fs.writeFileSync(go, '') };
  }

  status(): Status {
    const { stdout, stderr, status } = this.run('status', '--json');
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as Status;
  }

  /** Ends what runs and removes everything; to be called after each test. */
  async remove(): Promise<void> {
    await this.#daemon?.kill();
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

export type Ran = { status: number | null; stdout: string; stderr: string };

/** A command that runs. */
export class Command {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
  #stderr = '';
  #wake: (() => void)[] = [];

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    // a process group of its own, as a shell gives it
    this.child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'], env, detached: true });
    let stdout = '';
    this.child.stdout?.on('data', (data) => {
      stdout += data;
    });
    this.child.stderr?.on('data', (data) => {
      this.#stderr += data;
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.ended = new Promise((resolve) => {
      this.child.once('close', (status) => {
        resolve({ status, stdout, stderr: this.#stderr });
        for (const wake of this.#wake.splice(0)) wake();
      });
    });
  }

  /** Sends a signal to it and to all it started, as a terminal does. */
  signalAll(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined) process.kill(-this.child.pid, signal);
  }

  /** Resolves when it has said that on standard error. Throws when it ends before. */
  async says(text: string): Promise<void> {
    while (!this.#stderr.includes(text)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`it ended before it said ${text}: ${this.#stderr}`);
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

/** A running daemon and what it logged. */
export class Daemon {
  readonly events: LoggedEvent[] = [];
  readonly child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #stderr = '';
  #wake: (() => void)[] = [];

  constructor(root: string, env: NodeJS.ProcessEnv = process.env) {
    const argv = [program, 'watch', `--root=${root}`];
    this.child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'], env });
    let tail = '';
    this.child.stdout?.on('data', (data) => {
      const lines = `${tail}${data}`.split('\n');
      tail = lines.pop() ?? '';
      this.events.push(...lines.map((line) => JSON.parse(line) as LoggedEvent));
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.child.stderr?.on('data', (data) => {
      this.#stderr += data;
    });
    this.#ended = new Promise((resolve) => {
      this.child.once('close', (code) => {
        resolve(code);
        for (const wake of this.#wake.splice(0)) wake();
      });
    });
  }

  /** The first event of that name (and chroot) at or after `from`. Throws when the daemon ends before. */
  async next(event: string, from = 0, name?: string): Promise<LoggedEvent> {
    for (let index = from; ; index += 1) {
      while (index >= this.events.length) {
        if (this.child.exitCode !== null || this.child.signalCode !== null) {
          throw new Error(`the daemon ended before ${event}: ${this.#stderr}\n${this.log()}`);
        }
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
      const found = this.events[index];
      if (found?.event === event && (name === undefined || found.name === name)) return found;
    }
  }

  /** How many events of that name there were at or after `from`. */
  count(event: string, from = 0): number {
    return this.events.slice(from).filter((one) => one.event === event).length;
  }

  log(): string {
    return this.events.map(({ event, msg }) => `${event}: ${msg}`).join('\n');
  }

  /** SIGTERM; resolves with the exit status. */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended;
  }
}

/** An installed package in dpkg's status. */
export function packageEntry(name: string, version: string, status = 'install ok installed'): string {
  return `Package: ${name}\nStatus: ${status}\nArchitecture: all\nVersion: ${version}\n\n`;
}

/** Writes a chroot's dpkg status as dpkg does: a new file, renamed over the former. */
export function writeStatus(chroot: string, text: string): void {
  const file = path.join(chroot, 'var/lib/dpkg/status');
  fs.writeFileSync(`${file}-new`, text);
  fs.renameSync(`${file}-new`, file);
}

/** The paths in an image, as `/etc/passwd`. */
export function listImage(image: string): string[] {
  const output = execFileSync('unsquashfs', ['-l', '-d', '', image], { encoding: 'utf8', maxBuffer: 1e9 });
  return output.split('\n').filter((line) => line.startsWith('/'));
}

/** A file's content in an image. */
export function readInImage(image: string, file: string): string {
  return execFileSync('unsquashfs', ['-cat', image, file], { encoding: 'utf8', maxBuffer: 1e9 });
}

/** Mounts, loop devices and programs that belong to a directory. */
export function leftovers(directory: string): string[] {
  const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const loops = execFileSync('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'], {
    encoding: 'utf8',
  }).split('\n');
  return [...mounts, ...loops].filter((line) => line.includes(directory));
}
