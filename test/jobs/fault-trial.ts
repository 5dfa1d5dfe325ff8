import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { leftovers, program, type Ran, Server } from '../end-to-end/server.ts';
import { addKernel } from '../serve/boot-files/site.ts';

/**
 * What is tried: a command of the program, on a server that is as `start` says. `given` are the faults that bring it
 * where it is to be interrupted; `crash` are those of a run that is ended before, so that the command has to recover.
 */
export type Scenario = {
  start: 'nothing' | 'two generations' | 'an image of another program' | 'a chroot without init';
  command: readonly string[];
  given?: string;
  crash?: { command: readonly string[]; faults: string };
};

const BUILD = ['build', 'amd64'];
const REVERT = ['revert', 'amd64'];
/** Milliseconds, on a busy machine. */
const LONGEST = 60_000;
/** Any command that changes something recovers first. */
const START = ['release', 'amd64'];

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'first build': { start: 'nothing', command: BUILD },
  rebuild: { start: 'two generations', command: BUILD },
  'rebuild, file by file': { start: 'two generations', command: BUILD, given: 'boot.exchange=EINVAL' },
  'rebuild, taken back': { start: 'two generations', command: BUILD, given: 'check-live.act=EIO' },
  'first build, taken back': { start: 'nothing', command: BUILD, given: 'check-live.act=EIO' },
  'rebuild, taken back file by file': {
    start: 'two generations',
    command: BUILD,
    given: 'boot.exchange=EINVAL,check-live.act=EIO',
  },
  'rebuild, rejected': { start: 'a chroot without init', command: BUILD },
  'rebuild over a foreign image': { start: 'an image of another program', command: BUILD },
  'rebuild over a foreign image that cannot be synced': {
    start: 'an image of another program',
    command: BUILD,
    given: 'foreign.sync=EIO',
  },
  revert: { start: 'two generations', command: REVERT },
  'recovery of a rebuild': {
    start: 'two generations',
    command: START,
    crash: { command: BUILD, faults: 'check-live.act=kill' },
  },
  'recovery of a rebuild file by file': {
    start: 'two generations',
    command: START,
    crash: { command: BUILD, faults: 'boot.exchange=EINVAL,check-live.act=kill' },
  },
  'recovery of a first build': {
    start: 'nothing',
    command: START,
    crash: { command: BUILD, faults: 'check-live.act=kill' },
  },
  'recovery of a rebuild that was done': {
    start: 'two generations',
    command: START,
    crash: { command: BUILD, faults: 'publish.finish=kill' },
  },
  'recovery of a rebuild that left a temporary name': {
    start: 'two generations',
    command: START,
    crash: { command: BUILD, faults: 'image.rename=kill' },
  },
  'recovery of a revert': {
    start: 'two generations',
    command: START,
    crash: { command: REVERT, faults: 'switch-back.done=kill' },
  },
};

/** A point that a scenario comes by: the `nth` time of `of`. */
export type Reached = { point: string; nth: number; of: number };

/** What came of a trial: what clients have after the next start, and everything that is not as it must be. */
export type Outcome = { live: 'none' | 'former' | 'new'; ended: string; problems: string[] };

/** A server that is brought back to a known state before each trial. */
export class FaultTrial {
  readonly server = new Server();
  readonly #templates = `${this.server.root}.templates`;
  readonly #log = `${this.server.root}.reached`;

  private constructor() {
    const { root } = this.server;
    this.server.configure(
      '[watch]\nquiet = "0s"\n[schedule]\nnightly = ""\n[keep]\ngenerations = 2\ngrace = "0s"\n[check]\nnbd = "off"\n',
    );
    fs.mkdirSync(path.join(root, 'srv/tftp'), { recursive: true });
    fs.mkdirSync(path.join(root, 'etc/nbd-server/conf.d'), { recursive: true });
    const nbd = `[generic]\nallowlist = true\nport = 1\nincludedir = ${root}/etc/nbd-server/conf.d\n`;
    fs.writeFileSync(path.join(root, 'etc/nbd-server/config'), nbd);
    this.server.makeSmallChroot('amd64');
    fs.mkdirSync(this.#templates);
    this.#change('1');
    this.#save('nothing');
  }

  static async make(): Promise<FaultTrial> {
    const trial = new FaultTrial();
    await trial.#makeStarts();
    return trial;
  }

  async #makeStarts(): Promise<void> {
    for (const version of ['2', '3']) {
      const { status, stderr } = await this.#run(BUILD, '');
      if (status !== 0) throw new Error(stderr);
      this.#change(version);
    }
    this.#save('two generations');
    fs.rmSync(path.join(this.#chroot, 'sbin/init'));
    this.#save('a chroot without init');
    this.#restore('two generations');
    const image = this.server.image('amd64');
    // another file than the generation, and other bytes: squashfs may be padded
    fs.writeFileSync(`${image}.new`, Buffer.concat([fs.readFileSync(image), Buffer.alloc(4096)]));
    fs.renameSync(`${image}.new`, image);
    this.#save('an image of another program');
  }

  async remove(): Promise<void> {
    await this.server.remove();
    fs.rmSync(this.#templates, { recursive: true, force: true });
    fs.rmSync(this.#log, { force: true });
  }

  /** The points that a scenario comes by when nothing else goes wrong, in their order. */
  async pointsOf(scenario: Scenario): Promise<Reached[]> {
    await this.#begin(scenario);
    fs.rmSync(this.#log, { force: true });
    await this.#run(scenario.command, [`log:${this.#log}`, scenario.given].filter(Boolean).join());
    const points = fs.readFileSync(this.#log, 'utf8').split('\n').filter(Boolean);
    const times = new Map<string, number>();
    return points
      .map((point) => {
        const nth = (times.get(point) ?? 0) + 1;
        times.set(point, nth);
        return { point, nth };
      })
      .map((one) => ({ ...one, of: times.get(one.point) ?? 1 }));
  }

  /** Milliseconds that the scenario takes when nothing interrupts it. */
  async durationOf(scenario: Scenario): Promise<number> {
    await this.#begin(scenario);
    const started = performance.now();
    await this.#run(scenario.command, scenario.given ?? '');
    return performance.now() - started;
  }

  /** Interrupts a scenario at a point, or has the next call there fail, and looks at everything afterwards. */
  async withFault(scenario: Scenario, { point, nth }: Pick<Reached, 'point' | 'nth'>, kind: string): Promise<Outcome> {
    const before = await this.#begin(scenario);
    const made = [scenario.given, `${point}=${kind}@${nth}`].filter(Boolean).join();
    const ran = await this.#run(scenario.command, made);
    const problems: string[] = [];
    if (kind === 'kill' && ran.signal !== 'SIGKILL') problems.push(`it was not killed (${endOf(ran)})`);
    if (kind !== 'kill' && ![0, 1, 3].includes(ran.status ?? -1)) problems.push(`it ended with ${endOf(ran)}`);
    if (/internal error|\n {4}at /.test(ran.stderr)) problems.push(`it says ${ran.stderr}`);
    return this.#afterwards(before, endOf(ran), problems);
  }

  /** Kills a scenario after so many milliseconds. */
  async withKillAfter(scenario: Scenario, milliseconds: number): Promise<Outcome> {
    const before = await this.#begin(scenario);
    this.server.env = environment(scenario.given ?? '');
    const command = this.server.begin(...scenario.command);
    const timer = setTimeout(() => command.child.kill('SIGKILL'), milliseconds);
    await command.ended;
    clearTimeout(timer);
    return this.#afterwards(before, command.child.signalCode ?? 'done', []);
  }

  async #afterwards(before: string | null, ended: string, problems: string[]): Promise<Outcome> {
    problems.push(...this.#checkLive(before !== null).map((text) => `at once: ${text}`));
    const started = await this.#run(START, '');
    if (started.status !== 0) problems.push(`the next start ends with ${endOf(started)}: ${started.stderr}`);
    problems.push(...this.#checkLive(before !== null).map((text) => `after the next start: ${text}`));
    problems.push(...this.#checkUnit().map((text) => `after the next start: ${text}`));
    problems.push(...(await this.#leftovers()).map((text) => `after the next start: ${text}`));
    const now = this.#digest();
    const live = now === null ? 'none' : now === before ? 'former' : 'new';
    fs.writeFileSync(path.join(this.#chroot, 'etc/motd'), 'changed since\n');
    fs.writeFileSync(path.join(this.#chroot, 'sbin/init'), 'x\n');
    const next = await this.#run(BUILD, '');
    if (next.status !== 0 || !/is live/.test(next.stdout))
      problems.push(`the next run ends with ${endOf(next)}: ${next.stderr}${next.stdout}`);
    const version = fs.readFileSync(path.join(this.#chroot, 'etc/generation'), 'utf8');
    if (this.#versionOfImage() !== version) problems.push('after the next run: the image is not that of the chroot');
    problems.push(...this.#checkLive(true).map((text) => `after the next run: ${text}`));
    problems.push(...this.#checkUnit().map((text) => `after the next run: ${text}`));
    problems.push(...(await this.#leftovers()).map((text) => `after the next run: ${text}`));
    return { live, ended, problems };
  }

  /** Brings the server to where the scenario begins. Returns the digest of the image that is live. */
  async #begin({ start, crash }: Scenario): Promise<string | null> {
    this.#restore(start);
    const before = this.#digest();
    if (crash === undefined) return before;
    const { signal } = await this.#run(crash.command, crash.faults);
    if (signal !== 'SIGKILL') throw new Error(`${crash.faults} is not reached`);
    return before;
  }

  /** NAME.img is a complete image that passed its checks, and the boot files are whole. */
  #checkLive(needed: boolean): string[] {
    const problems: string[] = [];
    const image = this.#digest();
    if (image === null && needed) problems.push('there is no image');
    if (image !== null && !this.#isKnown(image)) problems.push('the image is none of a record whose checks passed');
    const boot = path.join(this.server.root, 'srv/tftp/ltsp/amd64');
    if (!fs.existsSync(boot)) return needed ? [...problems, 'there are no boot files'] : problems;
    for (const [link, what] of [
      ['vmlinuz', 'kernel'],
      ['initrd.img', 'initrd'],
    ] as const) {
      for (const name of fs.readdirSync(boot).filter((file) => file.startsWith(link))) {
        const file = path.join(boot, name);
        // the longer one is as long as it was written, see #change
        const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : 'nothing';
        const whole = new RegExp(`^${what} (\\d)x{20000}end$`).test(text);
        if (!whole) problems.push(`${file} is not whole: ${text.length} bytes`);
      }
    }
    if (this.#bootVersion() === null) problems.push('kernel and initrd are not a pair');
    return problems;
  }

  /** Kernel, initrd and image are of one generation. */
  #checkUnit(): string[] {
    const [image, boot] = [this.#versionOfImage(), this.#bootVersion()];
    return image === boot ? [] : [`the image is of ${image}, boot files are of ${boot}`];
  }

  #isKnown(digest: string): boolean {
    const directory = path.join(this.server.images, '.generations/amd64');
    const records = fs.readdirSync(directory).filter((file) => /^\d.*\.json$/.test(file));
    return (
      records.some((file) => {
        const record: unknown = JSON.parse(fs.readFileSync(path.join(directory, file), 'utf8'));
        if (typeof record !== 'object' || record === null || !('digest' in record && 'checks' in record)) return false;
        const passed = Array.isArray(record.checks) && record.checks.every((check) => check.passed === true);
        return record.digest === digest && passed;
      }) || digest === this.#foreign()
    );
  }

  /** What another program put there is live without a record, until the next job takes it up. */
  #foreign(): string | null {
    const file = path.join(this.#templates, 'an image of another program/opt/ltsp/images/amd64.img');
    return fs.existsSync(file) ? digestOf(file) : null;
  }

  /** Journals, temporary names, mounts, loop devices and programs that a crash left. */
  async #leftovers(): Promise<string[]> {
    const { root, images } = this.server;
    const at = (directory: string): string[] =>
      fs.existsSync(path.join(root, directory))
        ? fs.readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' })
        : [];
    const bad = [
      ...at('var/lib/ltsp-autoimage/journal'),
      ...at('var/lib/ltsp-autoimage').filter((file) => /\.tmp$|\.broken$/.test(file)),
      ...at('srv/tftp').filter((file) => /(^|\/)\.(?!ltsp-autoimage\.json$)/.test(file)),
      ...at('etc/nbd-server/conf.d').filter((file) => file.startsWith('.')),
      ...at('opt/ltsp/images').filter((file) => /\.tmp$|\.partial/.test(file)),
    ];
    const generations = path.join(images, '.generations/amd64');
    const files = fs.existsSync(generations) ? fs.readdirSync(generations).filter((file) => /^\d/.test(file)) : [];
    for (const file of files) {
      const [id = ''] = file.split('.', 1);
      for (const other of ['img', 'json']) {
        if (!files.includes(`${id}.${other}`)) bad.push(`${file} without ${id}.${other}`);
      }
    }
    // the kernel clears what a killed program had in its own time
    for (let tries = 0; tries < 250 && this.#running().length > 0; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return [...new Set([...bad, ...this.#running()])].map((file) => `${file} is left`);
  }

  #running(): string[] {
    const { root } = this.server;
    const programs = fs.readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid) || pid === String(process.pid)) return false;
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${root}/`);
      } catch {
        // it has ended
        return false;
      }
    });
    return [...leftovers(`${root}/`), ...programs.map((pid) => `process ${pid}`)];
  }

  #bootVersion(): string | null {
    const boot = path.join(this.server.root, 'srv/tftp/ltsp/amd64');
    const versionIn = (link: string): string | null => {
      const names = fs.existsSync(boot) ? fs.readdirSync(boot) : [];
      const name = names.find((file) => file === `${link}-amd64`);
      if (name === undefined || !fs.existsSync(path.join(boot, name))) return null;
      return /^\w+ (\d)/.exec(fs.readFileSync(path.join(boot, name), 'utf8'))?.[1] ?? null;
    };
    const kernel = versionIn('vmlinuz');
    return kernel === versionIn('initrd.img') ? kernel : null;
  }

  #versionOfImage(): string | null {
    const image = this.server.image('amd64');
    if (!fs.existsSync(image)) return null;
    return execFileSync('unsquashfs', ['-cat', image, 'etc/generation'], { encoding: 'utf8' });
  }

  #digest(): string | null {
    const image = this.server.image('amd64');
    return fs.existsSync(image) ? digestOf(image) : null;
  }

  /** The chroot gets another kernel. */
  #change(version: string): void {
    fs.rmSync(path.join(this.#chroot, 'boot'), { recursive: true, force: true });
    fs.rmSync(path.join(this.#chroot, 'lib/modules'), { recursive: true, force: true });
    addKernel(this.#chroot, `6.1.0-${version}-amd64`, `${version}${'x'.repeat(20_000)}end`);
    fs.writeFileSync(path.join(this.#chroot, 'etc/generation'), version);
  }

  get #chroot(): string {
    return path.join(this.server.base, 'amd64');
  }

  /** Runs a command to its end, at most for as long as any of them may take: one that hangs is ended by SIGTERM. */
  #run(command: readonly string[], faults: string): Promise<Ran & { signal: NodeJS.Signals | null }> {
    const [name = '', ...rest] = command;
    const argv = [program, name, `--root=${this.server.root}`, ...rest];
    const child = spawn(process.execPath, argv, { env: environment(faults), timeout: LONGEST });
    const [stdout, stderr]: [string[], string[]] = [[], []];
    child.stdout.on('data', (data) => stdout.push(String(data)));
    child.stderr.on('data', (data) => stderr.push(String(data)));
    return new Promise((resolve) => {
      child.once('close', (status, signal) => {
        resolve({ status, signal, stdout: stdout.join(''), stderr: stderr.join('') });
      });
    });
  }

  #save(name: string): void {
    execFileSync('cp', ['-a', this.server.root, path.join(this.#templates, name)]);
  }

  #restore(name: string): void {
    const { root } = this.server;
    for (const file of fs.readdirSync(root)) fs.rmSync(path.join(root, file), { recursive: true });
    execFileSync('cp', ['-a', `${path.join(this.#templates, name)}/.`, root]);
  }
}

function environment(faults: string): NodeJS.ProcessEnv {
  return { ...process.env, LTSP_AUTOIMAGE_FAULT: faults };
}

function endOf({ status, signal }: { status: number | null; signal: NodeJS.Signals | null }): string {
  return signal ?? `status ${status}`;
}

function digestOf(file: string): string {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}
