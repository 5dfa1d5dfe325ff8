import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { CancelledError, UserError } from '../errors.ts';
import { confined } from '../system/processes.ts';

export type CleanViewOptions = {
  /** The chroot's directory; `/` too. */
  chroot: string;
  /** What `submountsOf` found below it. */
  submounts: readonly string[];
  /** An existing directory. Several views may use the same one: each has a mount namespace of its own. */
  mountPoint: string;
  /** Ends the view. */
  signal?: AbortSignal | undefined;
};

/** A chroot as if it were a copy: what changes here changes nothing there. */
export type CleanView = {
  /** Its root directory, for this process and all it starts. */
  root: string;
  /** The mount namespace it lives in, as a file for nsenter(1). */
  namespace: string;
  /** A directory of its own in that namespace: the view is `view` in it. */
  base: string;
  close: () => Promise<void>;
};

/**
 * What overlayfs would otherwise take from the kernel's or the distribution's defaults. xino=on gives inode numbers over
 * 2^53; redirect_dir and metacopy would follow marks that a chroot may have from an overlay of its own; index refuses a
 * lower directory that changes.
 */
const OVERLAY = 'xino=off,index=off,metacopy=off,redirect_dir=nofollow';

/**
 * $1 is the mount point, $2 the chroot, the others its submounts. Paths are only ever arguments or names of our own: in
 * the options of an overlay a colon or a comma would divide them. The root directory of an overlay is its upper one, so
 * that has to get the looks of the lower one.
 */
const SCRIPT = `
set -e
lay() {
  mkdir "$1" "$1/lower" "$1/upper" "$1/work"
  mount --bind -- "$2" "$1/lower"
  for copy in chown chmod touch; do $copy --reference="$1/lower" "$1/upper"; done
  mount -t overlay -o "nodev,nosuid,${OVERLAY},lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" overlay "$3"
  umount "$1/lower"
}
base=$1 chroot=$2
shift 2
mount -t tmpfs -o mode=0700 tmpfs "$base"
cd "$base"
mkdir view
lay root "$chroot" view
number=0
for submount; do
  number=$((number + 1))
  if [ -d "$chroot/$submount" ]; then lay "$number" "$chroot/$submount" "view/$submount"
  elif [ -f "$chroot/$submount" ]; then cp -a -- "$chroot/$submount" "view/$submount"
  fi
done
read -r pid rest < /proc/self/stat
echo "$pid"
exec cat
`;

/**
 * Makes a view of a chroot in an overlay, with an overlay of its own for each file system mounted below it; changes go
 * to memory (a tmpfs). The mounts live in namespaces of a process that is there for nothing else. They end with `close`,
 * with `signal` and with this process, also by SIGKILL.
 * @throws UserError when the kernel has no overlayfs, or with what mount(8) said; CancelledError
 */
export async function openCleanView(options: CleanViewOptions): Promise<CleanView> {
  const { submounts, signal } = options;
  const [chroot, base] = [path.resolve(options.chroot), path.resolve(options.mountPoint)];
  if (signal?.aborted === true) throw cancelled();
  const [file, args] = confined('sh', ['-c', SCRIPT, 'sh', base, chroot, ...submounts]);
  const keeper = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const ended = new Promise<void>((resolve) => {
    keeper.once('close', () => resolve());
    keeper.once('error', () => resolve());
  });
  const onAbort = (): void => void keeper.kill('SIGKILL');
  signal?.addEventListener('abort', onAbort, { once: true });
  const close = async (): Promise<void> => {
    signal?.removeEventListener('abort', onAbort);
    keeper.kill('SIGKILL');
    await ended;
  };
  try {
    const pid = await keeperPid(keeper, chroot, signal);
    const root = path.join('/proc', String(pid), 'root', base, 'view');
    return { root, namespace: `/proc/${pid}/ns/mnt`, base, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The id, outside its namespace, of the process that keeps the mounts, once they are all there. */
function keeperPid(
  keeper: ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream },
  chroot: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = '';
    let errors = '';
    keeper.stdout.on('data', (data) => {
      said += data;
      if (said.endsWith('\n')) resolve(Number(said));
    });
    keeper.stderr.on('data', (data) => {
      errors += data;
    });
    keeper.once('error', reject);
    keeper.once('close', () => reject(signal?.aborted === true ? cancelled() : failure(chroot, errors)));
  });
}

function cancelled(): CancelledError {
  return new CancelledError('the clean view was stopped');
}

function failure(chroot: string, errors: string): UserError {
  if (/unknown filesystem type 'overlay'/.test(errors)) {
    const hint = 'modprobe overlay, or build without cleanup';
    return new UserError(`cannot clean up ${chroot}: this kernel has no overlay file system (${hint})`);
  }
  const said = errors.trim().replaceAll('\n', '; ') || 'its process was killed';
  return new UserError(`cannot make a clean view of ${chroot}: ${said}`);
}
