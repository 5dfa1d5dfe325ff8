import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { hasCode } from '../errors.ts';
import type { Json } from '../steps/step.ts';
import { journalDirectory, type StorePaths } from '../store/layout.ts';
import { cannotWrite, makeDirectory, removeDurably, writeDurably } from '../system/durable.ts';
import { fault } from '../system/faults.ts';

const json: z.ZodType<Json> = z.json();
const headerSchema = z.object({
  /** The journal's own id: later ones sort behind, even when the clock was set back. */
  job: z.string(),
  kind: z.string(),
  /** The chroot's name. */
  name: z.string(),
  /** The generation that the job is about. */
  id: z.string(),
  pid: z.number(),
  /** ISO 8601, UTC. */
  startedAt: z.string(),
});
const lineSchema = z.discriminatedUnion('state', [
  z.object({ state: z.literal('prepared'), step: z.string(), plan: json }),
  z.object({ state: z.literal('done'), step: z.string() }),
  z.object({ state: z.literal('committed') }),
]);

export type JournalHeader = z.infer<typeof headerSchema>;
type Line = z.infer<typeof lineSchema>;

/**
 * What a running job is about to do, on disk before it does it: JSON lines, a header first. While the file is there the
 * job has not ended; one that nobody runs any more was ended by a crash.
 */
export class Journal {
  readonly header: JournalHeader;
  readonly #paths: StorePaths;
  #fd: number | null;
  #committed = false;

  private constructor(paths: StorePaths, header: JournalHeader) {
    this.#paths = paths;
    this.header = header;
    const file = fileOf(paths, header.job);
    writeDurably(file, `${JSON.stringify(header)}\n`, 0o600, 'journal');
    this.#fd = fs.openSync(file, fs.constants.O_WRONLY | fs.constants.O_APPEND);
  }

  /** Begins the journal of a job. */
  static open(paths: StorePaths, job: Pick<JournalHeader, 'kind' | 'name' | 'id'>): Journal {
    makeDirectory(journalDirectory(paths));
    const last = jobs(paths).at(-1) ?? '0';
    const number = String(Number.parseInt(last, 10) + 1).padStart(8, '0');
    // another program may begin a job at the same time
    const id = `${number}-${randomBytes(4).toString('hex')}`;
    return new Journal(paths, { ...job, job: id, pid: process.pid, startedAt: new Date().toISOString() });
  }

  /** A step is about to have its effect. */
  prepared(step: string, plan: Json): void {
    this.#append({ state: 'prepared', step, plan });
  }

  done(step: string): void {
    this.#append({ state: 'done', step });
  }

  /** From here on the job counts as done, whatever happens. */
  commit(): void {
    this.#append({ state: 'committed' });
    this.#committed = true;
  }

  /** The job has ended: nothing of it is to be undone any more. */
  close(): void {
    this.leave();
    if (this.#committed) removeOthers(this.#paths, this.header);
    removeDurably(fileOf(this.#paths, this.header.job), 'journal');
  }

  /** Leaves the job to the next recovery: something of it could not be undone. */
  leave(): void {
    if (this.#fd !== null) fs.closeSync(this.#fd);
    this.#fd = null;
  }

  #append(line: Line): void {
    if (this.#fd === null) throw new Error('internal error: the journal is closed');
    const { size } = fs.fstatSync(this.#fd);
    try {
      fault(`journal.${line.state}`);
      fs.writeFileSync(this.#fd, `${JSON.stringify(line)}\n`);
      fault('journal.append-sync');
      fs.fsyncSync(this.#fd);
    } catch (error) {
      // A line that the job was told is not there must not count after a crash.
      fs.ftruncateSync(this.#fd, size);
      throw cannotWrite(fileOf(this.#paths, this.header.job), error);
    }
  }
}

/** The journal of a job that a crash ended, or whose undo failed. */
export type LeftJournal = {
  header: JournalHeader;
  /** Steps that may have had an effect, in their order. */
  begun: { step: string; plan: Json }[];
  state: 'uncommitted' | 'committed';
  /** False when it has been closed meanwhile. */
  exists: () => boolean;
  /** There is nothing left to be undone. */
  close: () => void;
};

/**
 * The journals there are, newest first, which is the order in which they are to be undone. Only under the images' lock
 * are all of them of jobs that nobody runs any more. Lines that are not whole are left out.
 */
export function openJournals(paths: StorePaths): LeftJournal[] {
  return jobs(paths)
    .reverse()
    .map((job) => readJournal(paths, job))
    .filter((journal) => journal !== undefined);
}

function readJournal(paths: StorePaths, job: string): LeftJournal | undefined {
  const file = fileOf(paths, job);
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const values = text.split('\n').map(parseLine);
  const header = headerSchema.safeParse(values[0]).data;
  if (header === undefined || header.job !== job) {
    // The header is written as a whole: this is none of ours. Out of the way, but kept for a look.
    fs.renameSync(file, `${file}.broken`);
    return undefined;
  }
  const lines = values.slice(1).flatMap((value) => lineSchema.safeParse(value).data ?? []);
  const committed = lines.some(({ state }) => state === 'committed');
  return {
    header,
    begun: lines.flatMap((line) => (line.state === 'prepared' ? [{ step: line.step, plan: line.plan }] : [])),
    state: committed ? 'committed' : 'uncommitted',
    exists: () => fs.existsSync(file),
    close: () => {
      if (committed) removeOthers(paths, header);
      removeDurably(file, 'journal');
    },
  };
}

/**
 * A job that is done stands on what earlier ones of the same chroot left behind: to undo one of those afterwards would
 * take back what this one did.
 */
function removeOthers(paths: StorePaths, { name, job }: JournalHeader): void {
  for (const { header } of openJournals(paths)) {
    if (header.name === name && header.job < job) removeDurably(fileOf(paths, header.job), 'journal');
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function fileOf(paths: StorePaths, job: string): string {
  return path.join(journalDirectory(paths), `${job}.jsonl`);
}

/** Ids of the journals there are, oldest first. */
function jobs(paths: StorePaths): string[] {
  try {
    const files = fs.readdirSync(journalDirectory(paths));
    return files
      .filter((file) => /^\d{8,}-[0-9a-f]{8}\.jsonl$/.test(file))
      .map((file) => file.slice(0, -'.jsonl'.length))
      .sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}
