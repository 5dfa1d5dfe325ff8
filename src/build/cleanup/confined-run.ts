import { CancelledError, UserError } from '../../errors.ts';
import { run } from '../../system/processes.ts';
import type { CleanView } from '../clean-view.ts';

export type RunInView = {
  /** What runs, for messages: "etc/ltsp/cleanup.d/10-mine of the chroot". */
  what: string;
  /** Milliseconds after which it is ended with everything it started. */
  timeout: number;
  signal?: AbortSignal | undefined;
};

/** How a program ended, and the last of what it wrote. */
export type Ending = { status: number; output: string };

/** What it takes to remove files and users. None of them reaches beyond the view: not into kernel, devices, mounts, network. */
const CAPABILITIES = ['chown', 'dac_override', 'fowner', 'fsetid', 'setuid', 'setgid'].map((name) => `+${name}`);

const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'USER=root', 'LOGNAME=root', 'LC_ALL=C.UTF-8'];

/**
 * Runs a program of the view with no way out of it. $1 is the view's base, the others are the command line.
 *
 * After pivot_root no program of the host can be started any more, and before it the program would have the rights to
 * undo it. So one process waits inside the new namespaces, already without rights: bash, whose next exec is the program
 * (another shell would take a program for another architecture for a script). A second one makes what the program sees
 * and pivots for both, a third takes the old root away. It lies over the new one, where only who enters the namespace
 * from outside finds it. /proc is read-only because root may write kernel settings without any capability.
 */
const CONFINED = `
base=$1
shift
run=$(mktemp -d "$base/run.XXXXXX")
mkfifo "$run/pid"
{
  read -r pid < "$run/pid"
  nsenter --mount --pid --target "$pid" -- sh -ec '
    cd "$1/view"
    if [ -d proc ] && [ ! -L proc ]; then mount -t proc -o ro,nosuid,nodev,noexec proc proc; fi
    if [ -d dev ] && [ ! -L dev ]; then
      mount -t tmpfs -o mode=0755,nosuid,nodev,noexec,size=64k tmpfs dev
      for node in null zero full random urandom; do
        : > "dev/$node"
        mount --bind "/dev/$node" "dev/$node"
      done
      ln -s /proc/self/fd dev/fd
      for stream in 0/stdin 1/stdout 2/stderr; do ln -s "/proc/self/fd/\${stream%/*}" "dev/\${stream#*/}"; done
      mount -o remount,ro dev
    fi
    pivot_root . .' sh "$base" &&
    nsenter --mount --target "$pid" -- umount -l / && : > "$run/ready" && echo go
} | unshare --mount --pid --net --ipc --uts --fork --kill-child --propagation private -- \\
  setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,${CAPABILITIES.join(',')} -- \\
  env -i ${ENVIRONMENT.join(' ')} bash -c '
    cd /
    exec 3< /dev/null
    read -r pid rest < /proc/self/stat
    echo "$pid" > "$0/pid"
    read -r go || exit 1
    cd /
    exec <&3 3<&-
    exec "$@"' "$run" "$@"
status=$?
[ -e "$run/ready" ] || exit 1
printf '\\nstatus %s' "$status"
`;

/**
 * Runs a program of the chroot in the view: its root is the view, it sees no other process, no network and no device,
 * and it may do with files what root may, and nothing else.
 * @param command absolute in the view, with its arguments
 * @throws UserError when it cannot be confined, or takes too long; CancelledError
 */
export function runConfined(view: CleanView, command: readonly string[], options: RunInView): Promise<Ending> {
  return runThere(view, ['sh', '-c', CONFINED, 'sh', view.base, ...command], options);
}

/** As the wrapped program's last line, since `run` throws for any status but 0 and knows only the outermost program. */
const WITH_STATUS = `"$@"; printf '\\nstatus %s' "$?"`;

/**
 * Runs a program of the server where the view is mounted. What it mounts itself is gone when it ends.
 * @throws UserError when it takes too long; CancelledError
 */
export function runBeside(
  view: CleanView,
  command: readonly string[],
  options: RunInView & { env: Record<string, string> },
): Promise<Ending> {
  const own = ['unshare', '--mount', '--propagation', 'private', '--'];
  return runThere(view, [...own, 'sh', '-c', WITH_STATUS, 'sh', ...command], options);
}

async function runThere(
  view: CleanView,
  command: readonly string[],
  { what, timeout, signal, env = {} }: RunInView & { env?: Record<string, string> },
): Promise<Ending> {
  const limit = AbortSignal.timeout(timeout);
  const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  try {
    const args = [`--mount=${view.namespace}`, '--', ...command];
    const { stdout, stderr } = await run('nsenter', args, { signal: either, env });
    const [, output = '', status] = /^(.*)\nstatus (\d+)$/s.exec(stdout) ?? [];
    if (status === undefined) throw new UserError(`cannot run ${what}: its end is not known`);
    return { status: Number(status), output: lastLines(`${output}\n${stderr}`) };
  } catch (error) {
    if (error instanceof CancelledError && limit.aborted && signal?.aborted !== true) {
      throw new UserError(`cannot finish ${what}: it took longer than ${timeout / 1000} s and was ended`);
    }
    if (error instanceof CancelledError) throw new CancelledError(`${what} was stopped`);
    throw new UserError(`cannot run ${what}`, { cause: error });
  }
}

function lastLines(text: string): string {
  return text.trim().split('\n').filter(Boolean).slice(-3).join('; ');
}
