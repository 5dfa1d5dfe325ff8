import tty from 'node:tty';
import type { Logger } from 'pino';
import { printable } from './printable.ts';

/** The stable names of what happens; a site's own tools may look for them. */
export type LogEvent =
  | 'boot.kept'
  | 'boot.switched'
  | 'build.again'
  | 'build.failed'
  | 'build.later'
  | 'build.progress'
  | 'build.skipped'
  | 'build.started'
  | 'build.void'
  | 'chroot.appeared'
  | 'chroot.changed'
  | 'chroot.gone'
  | 'chroot.held'
  | 'chroot.problem'
  | 'chroot.released'
  | 'chroot.waiting'
  | 'build.cleaned'
  | 'check.warned'
  | 'export.problem'
  | 'export.served'
  | 'export.skipped'
  | 'hook.failed'
  | 'check.failed'
  | 'config.loaded'
  | 'config.refused'
  | 'daemon.started'
  | 'daemon.stopping'
  | 'image.adopted'
  | 'image.aftermath'
  | 'image.published'
  | 'image.pruned'
  | 'image.rejected'
  | 'image.reverted'
  | 'image.staged'
  | 'image.unchanged'
  | 'live.damaged'
  | 'live.served'
  | 'live.unknown'
  | 'live.unserved'
  | 'notice.dropped'
  | 'notice.failed'
  | 'notice.told'
  | 'recovery.done'
  | 'recovery.failed'
  | 'undo.failed'
  | 'revert.failed'
  | 'revert.waiting'
  | 'schedule.run'
  | 'trigger.taken'
  | 'trigger.unknown'
  | 'watch.notice'
  | 'watch.polling';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Tells one thing: its event, the facts for programs, the sentence for people. */
type Tell = (event: LogEvent, fields: Readonly<Record<string, unknown>>, message: string) => void;

export type Log = Record<LogLevel, Tell>;

export type LogOptions = {
  /** `json`: one object a line, `{level, time, event, …fields, msg}`; `terminal`: for eyes; `none`: nothing. */
  destination: 'terminal' | 'json' | 'none';
  level?: LogLevel;
  /** File descriptor; standard output by default. */
  fd?: number;
};

/**
 * Makes a log that writes at once and in this process: a line is out before what it tells of goes on, and there is no
 * worker thread with a heap of its own.
 */
export async function createLog({ destination, level = 'info', fd = 1 }: LogOptions): Promise<Log> {
  if (destination === 'none') return { debug: silent, info: silent, warn: silent, error: silent };
  const logger = destination === 'json' ? await jsonLogger(level, fd) : await terminalLogger(level, fd);
  const words = destination === 'json' ? (message: string) => message : printable;
  const tell =
    (one: LogLevel): Tell =>
    (event, fields, message) =>
      logger[one]({ event, ...fields }, words(message));
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') };
}

const silent = (): void => {};

// Both packages by their default export: a bundle does not know the others of a CommonJS package loaded when needed.

async function jsonLogger(level: LogLevel, fd: number): Promise<Logger> {
  const { default: pino } = await import('pino');
  const options = {
    level,
    // pid and host are in the journal's own fields
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, pino.destination({ fd, sync: true }));
}

async function terminalLogger(level: LogLevel, fd: number): Promise<Logger> {
  const { default: pino } = await import('pino');
  const { default: pinoPretty } = await import('pino-pretty');
  const pretty = pinoPretty.prettyFactory({
    colorize: tty.isatty(fd) && (process.env.NO_COLOR ?? '') === '',
    translateTime: 'SYS:HH:MM:ss',
    // The sentence says it all; `name` would be taken for the logger's own.
    hideObject: true,
    ignore: 'name,pid,hostname',
  });
  const out = pino.destination({ fd, sync: true });
  return pino({ level }, { write: (line: string) => void out.write(pretty(line)) });
}
