import fs from 'node:fs';
import path from 'node:path';
import { messageOf, RejectedError } from '../../errors.ts';
import { CannotCheckError } from './cannot-check.ts';
import { type Keeper, keep, NotKeptError } from './keeper.ts';
import { LOOPBACK, type PrivateServer } from './private-server.ts';
import { programOnPath } from './programs.ts';

/** What gives a block device or a file of an export: the kernel's own driver, or nbdfuse with a loop device over it. */
type Way = 'kernel' | 'nbdfuse';

export type NbdMount = {
  /** The image's root directory, readable from this process. */
  root: string;
  /** Resolves when the connection that it stands on has ended, with the last that was said. */
  ended: Promise<string>;
  close: () => Promise<void>;
};

const OPTIONS = 'ro,nodev,nosuid,noexec';

/** The scripts' exit status where the image's file system did not mount; all others mean that it was not even tried. */
const NOT_MOUNTED = 3;

/**
 * $1 is the private directory, $2 the port, $3 the export's name. nbdfuse stays in the foreground and writes its pid file
 * when it serves the file.
 */
const BY_NBDFUSE = `
mkdir "$1/nbd" "$1/root"
nbdfuse -r -P "$1/pid" "$1/nbd/image" "nbd://${LOOPBACK}:$2/$3" >&2 &
client=$!
until [ -s "$1/pid" ]; do
  kill -0 "$client" 2> /dev/null || wait "$client"
  sleep 0.01
done
mount -t squashfs -o loop,${OPTIONS} -- "$1/nbd/image" "$1/root" || exit ${NOT_MOUNTED}
ready
`;

/**
 * The same by the kernel, on the first device that nobody uses. By netlink, nbd-client's default, a device would outlive
 * us; by ioctl it is connected as long as the process lives that waits in it. The device gets its size before it is
 * connected, and `pid` in /sys when it is. A lock on its directory there keeps others of us from taking it in between:
 * one on the device itself would keep it from being reset at the end.
 */
const BY_KERNEL = `
mkdir "$1/root"
connected=
for device in /dev/nbd[0-9] /dev/nbd[0-9][0-9]; do
  sys=/sys/block/\${device#/dev/}
  [ -b "$device" ] && [ -d "$sys" ] || continue
  exec 4< "$sys"
  flock --nonblock 4 || continue
  [ ! -e "$sys/pid" ] && [ "$(cat "$sys/size")" = 0 ] || continue
  nbd-client ${LOOPBACK} "$2" "$device" -name "$3" -readonly -nonetlink -nofork -timeout 30 >&2 &
  client=$!
  until [ -e "$sys/pid" ]; do
    kill -0 "$client" 2> /dev/null || continue 2
    sleep 0.01
  done
  mount -t squashfs -o ${OPTIONS} -- "$device" "$1/root" || exit ${NOT_MOUNTED}
  connected=$device
  ready
  break
done
if [ -z "$connected" ]; then
  echo 'no free device /dev/nbdN' >&2
  exit 1
fi
`;

/**
 * Mounts the image that a private server serves, read-only, where only this job sees it.
 * @param mountPoint an existing directory, which may be the server's: each has a mount namespace of its own
 * @throws RejectedError when the image does not mount; CannotCheckError when it could not be tried; CancelledError
 */
export async function mountOverNbd(server: PrivateServer, mountPoint: string, signal: AbortSignal): Promise<NbdMount> {
  const script = usableWay() === 'kernel' ? BY_KERNEL : BY_NBDFUSE;
  const { pid, ended, close } = await kept(script, [mountPoint, String(server.port), server.exportName], signal);
  return { root: path.join('/proc', String(pid), 'root', mountPoint, 'root'), ended, close };
}

/** @throws CannotCheckError where there is none */
function usableWay(): Way {
  if (fs.existsSync('/dev/nbd0') && programOnPath('nbd-client') !== undefined) return 'kernel';
  if (programOnPath('nbdfuse') === undefined) {
    throw new CannotCheckError(
      'cannot mount the image over NBD: nbdfuse is not installed (apt-get install libnbd-bin)',
    );
  }
  if (!fs.existsSync('/dev/fuse')) {
    throw new CannotCheckError('cannot mount the image over NBD: there is no /dev/fuse (modprobe fuse)');
  }
  return 'nbdfuse';
}

async function kept(script: string, args: readonly string[], signal: AbortSignal): Promise<Keeper> {
  try {
    return await keep(script, args, { signal });
  } catch (error) {
    if (!(error instanceof NotKeptError)) throw error;
    const why = messageOf(error);
    // no free loop device says nothing about the image
    if (error.status === NOT_MOUNTED && !why.includes('loop device')) {
      throw new RejectedError(`the image does not mount over NBD: ${why}`);
    }
    throw new CannotCheckError(`cannot mount the image over NBD: ${why}`, { cause: undefined });
  }
}
