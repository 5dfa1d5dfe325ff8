import fs from 'node:fs';
import os from 'node:os';
import { UsageError } from '../errors.ts';

/** The environment variable that makes a fault; see `parseFaults`. For tests: it is not set on a server. */
export const FAULT_VARIABLE = 'LTSP_AUTOIMAGE_FAULT';

/** Where a job is when it tells of a step: before its prepare, act, undo and finish, and after its act and undo. */
export type Phase = 'prepare' | 'act' | 'done' | 'undo' | 'undone' | 'finish';

const STEPS = [
  ...['lock-packages', 'clean-view', 'build', 'check-candidate', 'probe-live', 'publish', 'export-image'],
  ...['check-live', 'switch-back'],
];
const PHASES: readonly Phase[] = ['prepare', 'act', 'done', 'undo', 'undone', 'finish'];

/** What is written, linked and removed by the primitives of durable.ts, as its points name it. */
const WRITTEN = ['record', 'journal', 'state', 'aside', 'export', 'boot-manifest'] as const;
const LINKED = ['image', 'old', 'aside'] as const;
const REMOVED = ['image', 'old', 'aside', 'journal', 'export', 'generation', 'foreign', 'sweep'] as const;
export type Written = (typeof WRITTEN)[number];
export type Linked = (typeof LINKED)[number];
export type Removed = (typeof REMOVED)[number];

/** Between the system calls of what has no such primitive. */
const OTHERS = [
  ...(['journal.prepared', 'journal.done', 'journal.committed', 'journal.append-sync'] as const),
  ...(['history.write', 'history.sync', 'history.sync-directory'] as const),
  ...(['candidate.access', 'candidate.sync', 'generation.rename', 'images.sync-directory'] as const),
  ...(['foreign.link', 'foreign.sync'] as const),
  ...(['boot.clear', 'boot.make', 'boot.copy', 'boot.copy-sync', 'boot.sync-tree', 'boot.sync-above'] as const),
  ...(['boot.carry', 'boot.exchange', 'boot.rename', 'boot.carry-again', 'boot.top-links'] as const),
  ...(['boot.replace-make', 'boot.replace-rename', 'boot.save', 'boot.save-rename', 'boot.piecewise'] as const),
  ...(['boot.former-rename', 'boot.former-remove', 'boot.going-remove', 'boot.next-remove'] as const),
  ...(['boot.undo-exchange', 'boot.undo-remove', 'boot.undo-piecewise', 'boot.undo-rename'] as const),
  ...(['recovery.journal', 'recovery.remember', 'recovery.sweep'] as const),
];

/** Every point that a fault can be made at. A point is named for the call that comes next. */
export const FAULT_POINTS = [
  ...each(STEPS, PHASES),
  ...each(WRITTEN, ['write', 'sync', 'rename', 'sync-directory']),
  ...each(LINKED, ['link', 'rename', 'sync-directory']),
  ...each(REMOVED, ['remove', 'sync-directory']),
  ...OTHERS,
].filter((point, index, all) => all.indexOf(point) === index);

export type FaultPoint =
  | (typeof OTHERS)[number]
  | `${Written}.${'write' | 'sync' | 'rename' | 'sync-directory'}`
  | `${Linked}.${'link' | 'rename' | 'sync-directory'}`
  | `${Removed}.${'remove' | 'sync-directory'}`;

/** `kill`: SIGKILL, as a crash is. Otherwise the next call fails so. EINVAL: this file system cannot do it. */
export const FAULT_KINDS = ['kill', 'ENOSPC', 'EIO', 'EACCES', 'ENOENT', 'EINVAL'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** `nth`: at which time that the point is reached, from 1 on. */
export type Fault = { point: string; kind: FaultKind; nth: number };

/** The faults to be made, and the file that takes the names of the points that are reached, a line each. */
export type Faults = { faults: readonly Fault[]; log: string | null };

/** Null where none is to be made, as on every server. */
const wanted: Faults | null = parseFaults(process.env[FAULT_VARIABLE] ?? '');
const reached = new Map<string, number>();

/**
 * A point between two system calls: where a test wants it the process dies here, or the next call fails. Costs one
 * comparison where no fault is wanted.
 * @throws an error with `code`, as the system has it
 */
export function fault(point: FaultPoint): void {
  if (wanted !== null) reach(wanted, point);
}

/** The same at the boundary of a job's step. */
export function faultAtStep(step: string, phase: Phase): void {
  if (wanted !== null) reach(wanted, `${step}.${phase}`);
}

/**
 * Parses `POINT=KIND[@N][,…]`, for example `image.rename=kill` or `check-live.act=EIO,image.rename=kill@2`; an entry
 * `log:FILE` has the points that are reached written to a file.
 * @returns null for an empty text
 * @throws UsageError for a name that does not exist: a test must not try nothing without knowing
 */
export function parseFaults(text: string): Faults | null {
  if (text === '') return null;
  const entries = text.split(',');
  const log = entries.find((entry) => entry.startsWith('log:'))?.slice('log:'.length) ?? null;
  return { faults: entries.filter((entry) => !entry.startsWith('log:')).map(parseFault), log };
}

function parseFault(entry: string): Fault {
  const [, point = '', name = '', nth = '1'] = /^([^=]+)=([A-Za-z]+)(?:@([1-9]\d*))?$/.exec(entry) ?? [];
  const kind = FAULT_KINDS.find((one) => one === name);
  if (kind !== undefined && FAULT_POINTS.includes(point)) return { point, kind, nth: Number(nth) };
  const hint = `it is POINT=KIND[@N], with KIND one of ${FAULT_KINDS.join(', ')}`;
  throw new UsageError(`cannot use ${FAULT_VARIABLE}: there is no fault ${JSON.stringify(entry)} (${hint})`);
}

function reach({ faults, log }: Faults, point: string): void {
  if (!FAULT_POINTS.includes(point)) throw new Error(`internal error: ${point} is no fault point`);
  const times = (reached.get(point) ?? 0) + 1;
  reached.set(point, times);
  if (log !== null) fs.appendFileSync(log, `${point}\n`);
  for (const one of faults) if (one.point === point && one.nth === times) make(one);
}

function make({ point, kind }: Fault): void {
  if (kind === 'kill') process.kill(process.pid, 'SIGKILL');
  else {
    const message = `${kind}: made at the fault point ${point}`;
    throw Object.assign(new Error(message), { code: kind, errno: -os.constants.errno[kind] });
  }
}

function each(names: readonly string[], operations: readonly string[]): string[] {
  return names.flatMap((name) => operations.map((operation) => `${name}.${operation}`));
}
