/**
 * What runs inside a container while the image's systemd boots it, and what that writes. It comes as a unit in
 * /run/systemd/system, which a client has empty at this time, so that the image is booted as it is.
 */

/** Where the container has the directory that is shared with us. */
export const SHARED = '/run/ltsp-autoimage-boot';

/** The name of the file in it that has the report; a whole one takes the place of the one before. */
export const REPORT = 'report';

export const UNIT_NAME = 'ltsp-autoimage-boot.service';

/** It depends on nothing and nothing on it: the boot ends as if it were not there. */
export const UNIT = `[Unit]
Description=Look how this boot goes
DefaultDependencies=no
[Service]
ExecStart=/bin/sh ${SHARED}/look
StandardInput=null
`;

/** Seconds after the boot in which a service that has "started" may still fall over. */
const SETTLE = 2;

/**
 * Reports twice a second what is still to be done, and in the end how it went, and ends the container. A unit that fails
 * has the last lines that it logged.
 */
export const LOOK = `
export LC_ALL=C SYSTEMD_COLORS=0 SYSTEMD_PAGER=
report() { { "$@"; echo end; } >${SHARED}/new 2>/dev/null && mv ${SHARED}/new ${SHARED}/${REPORT}; }
progress() {
  echo "state $state"
  systemctl list-jobs --no-legend --plain | while read -r id unit type job; do
    [ "$job" != running ] || [ "$unit" = ${UNIT_NAME} ] || echo "job $unit"
  done
}
outcome() {
  progress
  echo "target $(systemctl is-active default.target) $(systemctl get-default)"
  systemctl list-units --failed --no-legend --plain | while read -r unit rest; do
    echo "failed $unit"
    journalctl --boot --unit "$unit" --output cat --lines 3 --no-pager --quiet | sed "s/^/log /"
  done
}
while :; do
  state=$(systemctl is-system-running 2>/dev/null)
  case $state in running | degraded | maintenance | stopping) break ;; esac
  report progress
  sleep 0.5
done
sleep ${SETTLE}
state=$(systemctl is-system-running 2>/dev/null)
report outcome
systemctl --force --force poweroff
`;

/** A unit that failed, with the last lines that it logged. */
export type FailedUnit = { unit: string; log: string[] };

export type Report =
  /** `jobs`: units that are being started or stopped. */
  | { kind: 'under-way'; state: string; jobs: string[] }
  /** `target`: the default target's name, and whether it was reached. */
  | { kind: 'booted'; state: string; reached: boolean; target: string; failed: FailedUnit[] };

/** Parses what LOOK wrote; null when there is no whole report. */
export function parseReport(text: string): Report | null {
  const lines = text.split('\n');
  let state = '';
  const jobs: string[] = [];
  const failed: FailedUnit[] = [];
  let target: { reached: boolean; name: string } | null = null;
  for (const line of lines) {
    const [, word, rest = ''] = /^(\w+) ?(.*)$/.exec(line) ?? [];
    if (word === 'end') {
      if (state === '') return null;
      if (target === null) return { kind: 'under-way', state, jobs };
      return { kind: 'booted', state, reached: target.reached, target: target.name, failed };
    }
    if (word === 'state') state = rest;
    if (word === 'job') jobs.push(rest);
    if (word === 'target') target = { reached: rest.startsWith('active '), name: rest.replace(/^\S* /, '') };
    if (word === 'failed') failed.push({ unit: rest, log: [] });
    if (word === 'log') failed.at(-1)?.log.push(rest);
  }
  return null;
}
