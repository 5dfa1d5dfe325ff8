import { UserError } from '../../errors.ts';
import { run } from '../../system/processes.ts';
import { LOOK, parseReport, REPORT, type Report, SHARED, UNIT, UNIT_NAME } from './inside.ts';

/** How a container ended. `said`: the last that nspawn and the container's console wrote, oldest first. */
export type Ended = { report: Report | null; limit: boolean; said: string[] };

export type Booted = ({ kind: 'ended' } & Ended) | { kind: 'foreign' } | { kind: 'no-nspawn' } | { kind: 'no-systemd' };

/**
 * Lets nspawn boot the image $1, in at most $4 seconds. All that it writes is in memory below $2, in a mount namespace
 * that ends with this. $3 names the container and its control group: systemd takes the whole of the group that it
 * starts in for its own, so it gets a new one; what is left of groups whose container was killed goes with the next one.
 * nspawn notes in /run/systemd what it runs, which nobody has to know.
 */
const BOOT = `
set -e
command -v systemd-nspawn >/dev/null || { echo no-nspawn; exit; }
image=$1 base=$2 name=$3 seconds=$4 own=
# our groups in the hierarchies that systemd uses: cgroup v2, and on hosts with both also the one of its name
groups() {
  while IFS=: read -r _ kind path; do
    case $kind in '') top=/sys/fs/cgroup/unified ;; name=systemd) top=/sys/fs/cgroup/systemd ;; *) continue ;; esac
    [ -e "$top" ] || top=/sys/fs/cgroup
    [ ! -e "$top\${path%/}/cgroup.procs" ] || echo "$top\${path%/}"
  done </proc/self/cgroup
}
# true while there are some
clear_groups() {
  left=1
  for group in $own; do
    for one in "$group"/ltsp-autoimage-boot-*; do
      [ ! -d "$one" ] || find "$one" -depth -type d -exec rmdir {} + 2>/dev/null || :
    done
    [ ! -d "$group/$name" ] || left=0
  done
  return $left
}
mount -t proc proc /proc
mount -t tmpfs -o mode=0700 tmpfs "$base"
cd "$base"
mkdir lower upper work root shared units units/sysinit.target.wants
mount -t squashfs -o loop,ro -- "$image" lower
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay root
for init in usr/lib/systemd/systemd lib/systemd/systemd none; do [ ! -x "root/$init" ] || break; done
[ "$init" != none ] || { echo no-systemd; exit; }
machine() { head -c 20 -- "$1" | od -An -tx1 | tr -d ' \\n' | sed -n 's/^7f454c46.\\{28\\}//p'; }
theirs=$(machine "root/$init") ours=$(machine /proc/self/exe)
printf '%s' "$UNIT" >"units/$UNIT_NAME"
ln -s "../$UNIT_NAME" units/sysinit.target.wants/
printf '%s' "$LOOK" >shared/look
[ ! -d /run/systemd ] || mount -t tmpfs -o mode=0755 tmpfs /run/systemd
for group in $(groups); do own="$own $group"; done
clear_groups || :
for group in $own; do
  { mkdir "$group/$name" && echo 0 >"$group/$name/cgroup.procs"; } 2>/dev/null || :
done
status=0
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --signal=KILL "$seconds" systemd-nspawn --quiet --directory=root \\
  --machine="$name" --register=no --keep-unit --private-network --link-journal=no --resolv-conf=off --timezone=off \\
  --console=read-only --bind=shared:$SHARED --bind-ro=units:/run/systemd/system --boot systemd.show_status=1 \\
  </dev/null >console 2>&1 || status=$?
# what nspawn leaves when it is killed
kill -s KILL -- -1 2>/dev/null || :
for group in $own; do echo 0 >"$group/cgroup.procs" || :; done
for try in 1 2 3 4 5 6 7 8 9 10; do
  clear_groups || break
  sleep 0.1
done
echo "ended $status \${theirs:-none} \${ours:-none}"
head -c 100000 shared/$REPORT 2>/dev/null || :
echo --console--
tail -c 10000 console
`;

const MARGIN = 30_000;

/**
 * Boots an image's own systemd in a container without network; nothing of it is left afterwards, not either when this
 * process is killed.
 * @param mountPoint an existing empty directory; others may use the same one
 * @param timeout milliseconds
 * @throws CancelledError; UserError when no container can be made here
 */
export async function bootContainer(
  image: string,
  mountPoint: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Booted> {
  const seconds = Math.max(1, Math.ceil(timeout / 1000));
  const name = `ltsp-autoimage-boot-${process.pid}-${Date.now()}`;
  const { stdout } = await run('sh', ['-c', BOOT, 'sh', image, mountPoint, name, String(seconds)], {
    signal,
    timeout: seconds * 1000 + MARGIN,
    env: { UNIT, UNIT_NAME, LOOK, SHARED, REPORT },
  });
  if (stdout === 'no-nspawn' || stdout === 'no-systemd') return { kind: stdout };
  const [, status, theirs, ours, report = '', console = ''] =
    /^ended (\d+) (\w+) (\w+)\n(.*?)--console--\n?(.*)$/s.exec(stdout) ?? [];
  if (status === undefined) throw new UserError('internal error: the end of a boot in a container is not known');
  const said = console
    .split('\n')
    .map(plain)
    .filter((line) => !/^$|login:|^Killed$/.test(line));
  if (theirs !== ours && said.some((line) => line.includes('Exec format error'))) return { kind: 'foreign' };
  // what timeout(1) ends with when it had to send SIGKILL
  return { kind: 'ended', report: parseReport(report), limit: status === '137', said };
}

/** A line of a console without colours and other things that a terminal takes for orders (ECMA-48). */
function plain(line: string): string {
  const shown = line.replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]P].*?(?:\u0007|\u001b\\)|[ -/]*[0-~])/g, '');
  return shown.replace(/[\u0000-\u001f\u007f]/g, '').trim();
}
