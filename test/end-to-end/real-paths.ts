import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Ran } from './server.ts';
import { type Files, makeSmallChroot } from './small-chroot.ts';

export const updateImage = fileURLToPath(new URL('../../dist/ltsp-update-image.js', import.meta.url));
export const host = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();

/** What the program reads and writes is new and empty, or a copy that can be written; all of it goes with the namespace. */
const MOUNTS = `
mount -t tmpfs -o mode=0755 tmpfs /mnt
for directory in etc var/lib; do
  mkdir -p /mnt/$directory/upper /mnt/$directory/work
  mount -t overlay -o lowerdir=/$directory,upperdir=/mnt/$directory/upper,workdir=/mnt/$directory/work overlay /$directory
done
for directory in opt srv run; do mount -t tmpfs -o mode=0755 tmpfs /$directory; done
rm -rf /etc/ltsp /etc/nbd-server /etc/exports /etc/exports.d /var/lib/ltsp-autoimage /var/lib/tftpboot
mkdir -p /opt/ltsp /etc/ltsp
echo ready
exec cat
`;

/** A machine's real paths, in a mount namespace of their own: the program runs there without `--root`. */
export class RealPaths {
  readonly #keeper: ChildProcess;
  /** Environment of what is started from now on. */
  env: NodeJS.ProcessEnv = process.env;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
  }

  static async open(): Promise<RealPaths> {
    const args = ['--mount', '--propagation', 'private', 'sh', '-ec', MOUNTS];
    const keeper = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      keeper.stdout.once('data', () => resolve());
      keeper.once('close', () => reject(new Error('the mount namespace could not be made')));
    });
    return new RealPaths(keeper);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#keeper.once('close', resolve));
    this.#keeper.stdin?.end();
    await ended;
  }

  /** Where a file of the namespace is for this process. Absolute symlinks on the way lead out of it. */
  at(file: string): string {
    return path.join(`/proc/${this.#keeper.pid}/root`, file);
  }

  write(file: string, content: string, mode = 0o644): void {
    fs.mkdirSync(path.dirname(this.at(file)), { recursive: true });
    fs.writeFileSync(this.at(file), content, { mode });
  }

  /** @returns its path */
  makeChroot(name: string, files: Files = {}, base = '/opt/ltsp'): string {
    const chroot = path.join(base, name);
    makeSmallChroot(this.at(chroot), files);
    return chroot;
  }

  /** Runs the program to its end. */
  update(...args: string[]): Ran {
    return this.run(process.execPath, updateImage, ...args);
  }

  /** Runs something there that has to succeed. */
  must(...command: string[]): string {
    const { status, stdout, stderr } = this.run(...command);
    if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** Mounts a tmpfs there, on a directory that is made for it. */
  mountTmpfs(directory: string, size = '1m'): void {
    fs.mkdirSync(this.at(directory), { recursive: true });
    this.must('mount', '-t', 'tmpfs', '-o', `size=${size},mode=0755`, 'tmpfs', directory);
  }

  /** Mounts a file system of a local disk there, on a directory that is made for it. */
  mountDisk(directory: string): void {
    const disk = `/mnt/${path.basename(directory)}.disk`;
    fs.mkdirSync(this.at(directory), { recursive: true });
    this.must('truncate', '--size=2M', disk);
    this.must('mkfs.ext2', '-q', disk);
    this.must('mount', '-o', 'loop', disk, directory);
  }

  /** Runs anything there. */
  run(...command: string[]): Ran {
    return spawnSync('nsenter', [...this.#enter(), ...command], { encoding: 'utf8', env: this.env });
  }

  /** Puts a shell script first on PATH under a program's name; the real one is $REAL in it. */
  fake(name: string, script: string): void {
    const real = execFileSync('which', [name], { encoding: 'utf8' }).trim();
    this.write(`/mnt/bin/${name}`, `#!/bin/sh\nREAL='${real}'\n${script}\n`, 0o755);
    this.env = { ...process.env, PATH: `/mnt/bin:${process.env.PATH}` };
  }

  exists(file: string): boolean {
    return fs.lstatSync(this.at(file), { throwIfNoEntry: false }) !== undefined;
  }

  read(file: string): string {
    return fs.readFileSync(this.at(file), 'utf8');
  }

  names(directory: string): string[] {
    return this.exists(directory) ? fs.readdirSync(this.at(directory)).sort() : [];
  }

  image(name: string): string {
    return `/opt/ltsp/images/${name}.img`;
  }

  /** Each name below a directory, hidden ones aside; a directory with a slash, a symlink with where it leads. */
  tree(directory: string): string[] {
    const from = this.at(directory);
    if (!fs.existsSync(from)) return [];
    return fs
      .readdirSync(from, { recursive: true, withFileTypes: true })
      .map((entry) => {
        const file = path.join(entry.parentPath, entry.name);
        const name = path.relative(from, file);
        if (entry.isSymbolicLink()) return `${name} -> ${fs.readlinkSync(file)}`;
        return entry.isDirectory() ? `${name}/` : name;
      })
      .filter((name) => !/(^|\/)\./.test(name.split(' -> ')[0] ?? ''))
      .sort();
  }

  /** Names, types, modes, owners and contents of files and of all that is below directories, as one text to compare. */
  state(...tops: string[]): string {
    const lines = tops
      .filter((top) => this.exists(top))
      .flatMap((top) => [top, ...this.#below(top)])
      .map((file) => {
        const { mode, uid, gid } = fs.lstatSync(this.at(file));
        return [file, mode.toString(8), uid, gid, contentOf(this.at(file))].join(' ');
      });
    return lines.sort().join('\n');
  }

  #below(directory: string): string[] {
    if (!fs.lstatSync(this.at(directory)).isDirectory()) return [];
    const names = fs.readdirSync(this.at(directory), { recursive: true, encoding: 'utf8' });
    return names.map((name) => path.join(directory, name));
  }

  #enter(): string[] {
    return [`--mount=/proc/${this.#keeper.pid}/ns/mnt`, '--wdns=/opt', '--'];
  }
}

function contentOf(file: string): string {
  const stats = fs.lstatSync(file);
  if (stats.isSymbolicLink()) return fs.readlinkSync(file);
  return stats.isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : '';
}
