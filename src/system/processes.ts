import { execa } from 'execa';
import { CancelledError, hasCode, UserError } from '../errors.ts';

/** Debian packages that bring the programs we start, for messages that say what to install. */
const DEBIAN_PACKAGE: Record<string, string> = {
  mksquashfs: 'squashfs-tools',
  unsquashfs: 'squashfs-tools',
  'nbd-server': 'nbd-server',
  nbdfuse: 'libnbd-bin',
  dpkg: 'dpkg',
  mount: 'mount',
  unshare: 'util-linux',
};

export type RunOptions = {
  /** Ends the program with everything it started; `run` then throws CancelledError. */
  signal?: AbortSignal | undefined;
  /** Milliseconds after which the program is ended. */
  timeout?: number;
  /** Called with each piece of standard output as it comes. */
  onOutput?: (text: string) => void;
  /** Gives way to everything else: nice 19, idle I/O. */
  nice?: boolean;
  input?: string | Uint8Array;
  env?: Record<string, string>;
};

export type RunResult = { stdout: string; stderr: string };

/**
 * The command line that runs `command` in mount and pid namespaces of its own. Its end, or ours (even by SIGKILL), ends
 * everything in them; the kernel then clears the mounts made there, loop devices included.
 */
export function confined(command: string, args: readonly string[]): [string, string[]] {
  const unshare = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private', '--'];
  return ['setpriv', ['--pdeathsig', 'KILL', '--', ...unshare, command, ...args]];
}

/** The command line that runs `command` with the lowest CPU and I/O priority. */
export function niced(command: string, args: readonly string[]): [string, string[]] {
  return ['nice', ['-n', '19', 'ionice', '-c3', command, ...args]];
}

/**
 * Runs a program to its end, confined (see `confined`); no shell is involved.
 * @returns what it wrote; at most 10 MB of each stream is kept
 * @throws UserError when it is not installed, fails or takes too long; CancelledError when `signal` ended it
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [niceCommand, niceArgs] = options.nice === true ? niced(command, args) : [command, [...args]];
  const [file, fileArgs] = confined(niceCommand, niceArgs);
  const child = execa(file, fileArgs, {
    reject: false,
    maxBuffer: 10_000_000,
    killSignal: 'SIGKILL',
    // the kernel sees to that, by setpriv; execa's own way ends this process at the first signal
    cleanup: false,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    env: { LC_ALL: 'C.UTF-8', ...options.env },
  });
  const { onOutput } = options;
  if (onOutput !== undefined) child.stdout.on('data', (data: Buffer) => onOutput(data.toString()));
  const result = await child;
  if (result.isCanceled) throw new CancelledError(`${command} was stopped`);
  if (result.timedOut) {
    throw new UserError(
      `cannot finish ${command}: it took longer than ${(options.timeout ?? 0) / 1000} s and was ended`,
    );
  }
  if (result.failed) {
    throw new UserError(failure(command, result.exitCode, result.stderr, result.signal), { cause: undefined });
  }
  return { stdout: result.stdout, stderr: result.stderr };
}

function failure(command: string, exitCode: number | undefined, stderr: string, signal: string | undefined): string {
  // unshare and nice say with 127 that there is no such program
  if (exitCode === 127 || /No such file or directory$/m.test(stderr.split('\n', 1)[0] ?? '')) {
    const package_ = DEBIAN_PACKAGE[command];
    const hint = package_ === undefined ? '' : ` (apt-get install ${package_})`;
    if (exitCode === 127) return `cannot run ${command}: it is not installed${hint}`;
  }
  const all = stderr.trim().split('\n').filter(Boolean);
  // of a stack trace, JavaScript's or the engine's own, only what it is about
  const isTrace = all.some((line) => /^\s+at \S|^ *\d+: 0x[0-9a-f]+ /.test(line));
  const lines = isTrace ? all.filter((line) => /^(\w*Error|FATAL ERROR): /.test(line)) : all;
  const said = lines.length === 0 ? '' : `: ${lines.slice(-3).join('; ')}`;
  // what unshare says when its child was killed, which it cannot pass on (util-linux 2.38)
  if (/^unshare: sigprocmask/m.test(stderr)) return `cannot finish ${command}: it was killed (is there enough memory?)`;
  const how = signal !== undefined ? `it was killed (${signal})` : `it ended with status ${exitCode ?? 'unknown'}`;
  return `cannot finish ${command}: ${how}${said}`;
}

/** True when a process with this id exists. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, 'EPERM');
  }
}
