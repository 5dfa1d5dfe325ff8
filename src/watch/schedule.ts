import { createTask, parse, type ScheduledTask, validateDetailed } from 'node-cron';
import { latestDue } from './due.ts';

export type ScheduleOptions = {
  /** A cron expression that `checkCron` finds nothing wrong with, or '' for none. */
  nightly: string;
  /** IANA name, or '' for the machine's own. */
  timezone: string;
  /** Milliseconds since the epoch, as `now`; null when nothing is known of a former run. */
  lastRun: number | null;
  now: () => number;
  /** `missed`: the machine was off or asleep, or its clock wrong, when the run was due. */
  onRun: (when: 'on time' | 'missed') => void;
};

/** `next`: milliseconds since the epoch. */
export type RunningSchedule = { close: () => void; next: () => number | null };

/** Milliseconds between two looks at whether a run was missed. */
const CHECK = 60_000;

/** Milliseconds by which a run may be late, or the clock set back, without a word. */
const TOLERANCE = 30_000;

/**
 * What is wrong with a cron expression or a time zone, in words; undefined when nothing is. Five fields, or six with
 * seconds; both the day of the month and the day of the week have to fit.
 */
export function checkCron(expression: string, timezone: string): string | undefined {
  if (!isTimezone(timezone)) return `there is no time zone ${JSON.stringify(timezone)}`;
  if (expression.trim() === '') return 'it is empty';
  const { valid, errors } = validateDetailed(expression);
  if (!valid) return errors.map(({ field, value = '', message }) => inWords(field, value, message)).join('; ');
  const task = taskOf(expression, timezone, () => {});
  try {
    task.getNextRuns(1);
    return undefined;
  } catch {
    return 'no day ever fits it';
  } finally {
    task.destroy();
  }
}

/**
 * Runs at the due times, and once at the start when one was missed since `lastRun`. A run that falls into the time that a
 * machine slept or its clock skipped is caught up within two minutes. A local time that the change from summer time brings
 * twice counts once, one that the change to it leaves out does not come that day.
 */
export function startSchedule(options: ScheduleOptions): RunningSchedule {
  return options.nightly === '' ? { close: () => {}, next: () => null } : new Schedule(options);
}

class Schedule implements RunningSchedule {
  readonly #options: ScheduleOptions;
  readonly #task: ScheduledTask;
  readonly #check: NodeJS.Timeout;
  /** The time up to which every run is done. */
  #doneUntil: number;
  #soon: NodeJS.Immediate | undefined;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const { nightly, timezone, lastRun, now } = options;
    this.#doneUntil = lastRun ?? now();
    this.#task = taskOf(nightly, timezone, (due) => this.#onTime(due));
    this.#catchUp(now());
    this.#check = setInterval(() => this.#catchUp(now() - TOLERANCE), CHECK);
    void this.#task.start();
  }

  close(): void {
    void this.#task.destroy();
    clearInterval(this.#check);
    clearImmediate(this.#soon);
  }

  next(): number | null {
    return this.#task.getNextRun()?.getTime() ?? null;
  }

  #onTime(due: number): void {
    if (due <= this.#doneUntil || isSecondPass(new Date(due), this.#options.timezone)) return;
    this.#doneUntil = due;
    this.#run('on time');
  }

  /**
   * Runs when a due time up to `until` is not done: the timer of a machine that slept, or whose clock was set, is late,
   * and of a local time that comes twice node-cron takes the first one in some zones and the second in others.
   */
  #catchUp(until: number): void {
    // the clock was set back since, or what was noted came of a clock that was wrong
    if (this.#doneUntil > until + 2 * TOLERANCE) this.#doneUntil = until;
    if (this.#doneUntil >= until) return;
    const { nightly, timezone } = this.#options;
    const { second, minute } = parse(nightly);
    const matches = (at: Date): boolean => this.#task.match(at) && !isSecondPass(at, timezone);
    const due = latestDue({ second, minute, matches }, this.#doneUntil, until);
    this.#doneUntil = until;
    if (due !== null) this.#run(until - due < CHECK ? 'on time' : 'missed');
  }

  /** Not at once: who started the schedule has it in hands first, and what throws there does not meet the timers here. */
  #run(when: 'on time' | 'missed'): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#options.onRun(when);
    });
  }
}

function taskOf(expression: string, timezone: string, onDue: (due: number) => void): ScheduledTask {
  return createTask(expression, ({ date }) => onDue(date.getTime()), {
    ...(timezone === '' ? {} : { timezone }),
    missedExecutionTolerance: TOLERANCE,
    suppressMissedWarning: true,
  });
}

/** Clocks go back by an hour, on Lord Howe Island by half of one. */
const SET_BACK_BY = [60 * 60_000, 30 * 60_000];

/** Whether the local time was the same a while ago already. */
function isSecondPass(at: Date, timezone: string): boolean {
  const format = new Intl.DateTimeFormat('en-GB', {
    ...(timezone === '' ? {} : { timeZone: timezone }),
    timeStyle: 'medium',
  });
  const local = format.format(at);
  return SET_BACK_BY.some((back) => format.format(at.getTime() - back) === local);
}

function isTimezone(timezone: string): boolean {
  try {
    if (timezone !== '') new Intl.DateTimeFormat('en-GB', { timeZone: timezone });
    return true;
  } catch {
    return false;
  }
}

const FIELDS: Readonly<Record<string, string>> = {
  second: 'second',
  minute: 'minute',
  hour: 'hour',
  dayOfMonth: 'day of the month',
  month: 'month',
  dayOfWeek: 'day of the week',
};

function inWords(field: string, value: string, message: string): string {
  const name = FIELDS[field];
  if (name === undefined) return /illegal/.test(message) ? 'there are characters in it that mean nothing' : message;
  return /impossible/.test(message) ? 'no day ever fits it' : `${value} is no ${name}`;
}
