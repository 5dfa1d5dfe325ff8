// What the benches need of running programs: their CPU time, memory, and the events in a daemon's log.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const top = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const program = path.join(top, 'dist/ltsp-autoimage.js');

/** @param {number} pid @returns {number[]} it and all that it started */
export function processTree(pid) {
  const children = fs
    .readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** @param {number[]} pids @returns {number} proportional set size of all, in MB (proc(5), smaps_rollup) */
export function memory(pids) {
  const kilobytes = pids.map((pid) =>
    Number(/^Pss:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]),
  );
  return kilobytes.reduce((sum, one) => sum + one, 0) / 1000;
}

/** @param {number} pid @returns {number} seconds of CPU it used so far (proc(5), stat: utime, stime, cutime, cstime) */
export function cpuSeconds(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

/** @param {number[]} values @returns {number} NaN of none */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1);
  return middle.reduce((sum, one) => sum + one, 0) / middle.length;
}

/**
 * A daemon below a root directory and its log.
 * @param {string} root
 */
export function startDaemon(root) {
  const child = spawn(process.execPath, [program, 'watch', `--root=${root}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  /** @type {{ time: string, event: string, name?: string, id?: string }[]} */
  const events = [];
  let tail = '';
  /** @type {(() => void)[]} */
  let waiting = [];
  child.stdout.on('data', (data) => {
    const lines = `${tail}${data}`.split('\n');
    tail = lines.pop() ?? '';
    for (const line of lines) events.push(JSON.parse(line));
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  });
  return {
    pid: Number(child.pid),
    events,
    /**
     * The first event after `from` (an index of `events`) that is wanted.
     * @param {number} from
     * @param {(event: { time: string, event: string, name?: string }) => boolean} wanted
     * @returns {Promise<{ time: string, event: string, name?: string, id?: string }>}
     */
    async next(from, wanted) {
      for (let index = from; ; index += 1) {
        while (index >= events.length) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
        const event = events[index];
        if (event !== undefined && wanted(event)) return event;
      }
    },
    async stop() {
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('close', resolve));
    },
  };
}
