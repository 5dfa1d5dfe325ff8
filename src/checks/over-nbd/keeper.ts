import { spawn } from 'node:child_process';
import { CancelledError, UserError } from '../../errors.ts';
import { confined } from '../../system/processes.ts';

/** What lives in namespaces of its own until it is closed. */
export type Keeper = {
  /** The first process in them, as everybody outside sees it: /proc/PID/root is their root directory. */
  pid: number;
  /** Resolves when what it keeps has ended, by itself or by `close`, with the last that it said; '' is nothing. */
  ended: Promise<string>;
  /** Ends all processes in them and waits for it. May be called twice. */
  close: () => Promise<void>;
};

/** The script ended before it was ready; `status` is its exit status, null when it was killed. */
export class NotKeptError extends UserError {
  override name = 'NotKeptError';
  readonly status: number | null;

  constructor(status: number | null, said: string) {
    super(said);
    this.status = status;
  }
}

/**
 * Before each script: a private directory $1 in memory, and the words that tell `keep` when all is ready. The pipe open as
 * descriptor 3 is inherited by whatever is kept; it is there as long as somebody holds it.
 */
const START = `
set -e
umask 077
cd /
mount -t tmpfs -o mode=0700,size=64k tmpfs "$1"
mkfifo "$1/alive"
exec 3<> "$1/alive"
ready() {
  read -r pid rest < /proc/self/stat
  echo "ready $pid"
}
`;

/** After each script: lives as long as what it started, and takes everything along at its end. */
const END = `
exec cat < "$1/alive" 3>&- > /dev/null
`;

/**
 * Runs a script of sh in mount and pid namespaces of its own (`confined`), up to where it calls `ready`; $1 is a private
 * directory in memory. All in them ends with `close`, with `signal` and with this process, also by SIGKILL; the kernel
 * then takes mounts and loop devices down.
 * @throws NotKeptError with what it said when it ends before; CancelledError
 */
export async function keep(
  script: string,
  args: readonly string[],
  { input = '', signal }: { input?: string; signal: AbortSignal },
): Promise<Keeper> {
  if (signal.aborted) throw new CancelledError('it was stopped');
  const [file, fileArgs] = confined('sh', ['-c', `${START}${script}${END}`, 'sh', ...args]);
  const child = spawn(file, fileArgs, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  const close = async (): Promise<void> => {
    signal.removeEventListener('abort', kill);
    kill();
    await closed;
  };
  // a script that ends before it has read all of it says why in other ways
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  let errors = '';
  child.stderr.on('data', (data) => {
    errors = `${errors}${data}`.slice(-10_000);
  });
  try {
    const pid = await new Promise<number>((resolve, reject) => {
      let said = '';
      child.stdout.on('data', (data) => {
        said += data;
        const ready = /^ready (\d+)$/m.exec(said)?.[1];
        if (ready !== undefined) resolve(Number(ready));
      });
      child.once('error', reject);
      child.once('close', (status) => reject(new NotKeptError(status, lastLines(errors) || 'it was killed')));
    });
    return { pid, ended: closed.then(() => lastLines(errors)), close };
  } catch (error) {
    await close();
    if (signal.aborted) throw new CancelledError('it was stopped');
    throw error;
  }
}

function lastLines(errors: string): string {
  // what unshare says when the process it waits for was killed (util-linux 2.38)
  const lines = errors.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('unshare: sigprocmask'));
  return lines.slice(-3).join('; ');
}
