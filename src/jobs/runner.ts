import { CancelledError, messageOf, UserError } from '../errors.ts';
import type { Json, Step } from '../steps/step.ts';
import { faultAtStep, type Phase } from '../system/faults.ts';
import type { Journal, LeftJournal } from './journal.ts';

/** What the runner tells, before each phase, so that a test can end or fail it there. What `onStep` throws counts as the step's own error. */
export type Telling = {
  onStep?: (step: string, phase: Phase) => void;
  /** An error beside the one that is thrown, in words. */
  log?: (message: string, error: unknown) => void;
};

export type JobRun<Site, Job extends Site> = Telling & {
  steps: readonly Step<Site, Job>[];
  job: Job;
  site: Site;
  journal: Journal;
  signal: AbortSignal;
};

/**
 * Runs the steps of a job in their order, each one's plan on disk before its effect. When one fails, or `signal` says
 * stop, what was begun is undone backwards, the failed step included, since it may have done half. Once the last step is
 * done the job is committed, and nothing takes it back.
 * @throws the step's error, or CancelledError; `undoErrorsOf` tells what went wrong in the undo
 */
export async function runJob<Site, Job extends Site>(run: JobRun<Site, Job>): Promise<void> {
  const { steps, job, site, journal, signal, log } = run;
  const begun: Begun<Site>[] = [];
  try {
    for (const step of steps) {
      stopIf(signal);
      tell(run, step.name, 'prepare');
      const plan = await step.prepare(job);
      stopIf(signal);
      journal.prepared(step.name, plan);
      begun.push(begunStep(step, plan));
      tell(run, step.name, 'act');
      await step.act(job, plan);
      journal.done(step.name);
      tell(run, step.name, 'done');
    }
    journal.commit();
  } catch (error) {
    const undoErrors = await undoBackwards(begun, site, run);
    if (typeof error === 'object' && error !== null) undoErrorsByError.set(error, undoErrors);
    // What could not be undone now is tried again by the next recovery.
    attempt('journal', log, () => (undoErrors.length === 0 ? journal.close() : journal.leave()));
    throw error;
  }
  await finishAll(begun, site, run);
  attempt('journal', log, () => journal.close());
}

/**
 * Ends a job that a crash interrupted: one that was committed is done, any other is undone. May itself be interrupted
 * and repeated; a journal that has been closed meanwhile needs nothing.
 * @throws UserError when something could not be undone; the journal then stays for another try
 */
export async function recover<Site, Job extends Site>(
  recovery: Telling & { steps: readonly Step<Site, Job>[]; site: Site; journal: LeftJournal },
): Promise<'undone' | 'done'> {
  const { steps, site, journal } = recovery;
  if (!journal.exists()) return 'done';
  const begun = journal.begun.map(({ step: name, plan }): Begun<Site> => {
    const step = steps.find((one) => one.name === name);
    const unknown = (): Promise<void> => Promise.reject(new UserError(`this version does not know step ${name}`));
    return step === undefined ? { name, plan, undo: unknown } : begunStep(step, plan);
  });
  if (journal.state === 'committed') {
    await finishAll(begun, site, recovery);
    journal.close();
    return 'done';
  }
  const [first] = await undoBackwards(begun, site, recovery);
  if (first !== undefined) {
    const { kind, name } = journal.header;
    throw new UserError(`cannot undo an interrupted ${kind} of ${name}: ${messageOf(first)}`, { cause: first });
  }
  journal.close();
  return 'undone';
}

const undoErrorsByError = new WeakMap<object, unknown[]>();

/** What went wrong in the undo that followed this error of `runJob`. */
export function undoErrorsOf(error: unknown): readonly unknown[] {
  return (typeof error === 'object' && error !== null ? undoErrorsByError.get(error) : undefined) ?? [];
}

type Begun<Site> = { name: string; plan: Json } & Pick<Step<Site, Site>, 'undo' | 'finish'>;

function begunStep<Site, Job extends Site>({ name, undo, finish }: Step<Site, Job>, plan: Json): Begun<Site> {
  return { name, plan, undo, ...(finish && { finish }) };
}

/** What clients get is what it is to be, whatever goes wrong here. */
async function finishAll<Site>(begun: readonly Begun<Site>[], site: Site, telling: Telling): Promise<void> {
  for (const { name, plan, finish } of begun) {
    try {
      tell(telling, name, 'finish');
      await finish?.(site, plan);
    } catch (error) {
      telling.log?.(`cannot clear up after step ${name}: ${messageOf(error)}`, error);
    }
  }
}

/** Undoes all of them, whatever goes wrong with one. */
async function undoBackwards<Site>(begun: readonly Begun<Site>[], site: Site, telling: Telling): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const { name, plan, undo } of begun.toReversed()) {
    try {
      tell(telling, name, 'undo');
      await undo(site, plan);
      tell(telling, name, 'undone');
    } catch (error) {
      errors.push(error);
      telling.log?.(`cannot undo step ${name}: ${messageOf(error)}`, error);
    }
  }
  return errors;
}

function tell({ onStep }: Telling, step: string, phase: Phase): void {
  faultAtStep(step, phase);
  onStep?.(step, phase);
}

function attempt(what: string, log: Telling['log'], effect: () => void): void {
  try {
    effect();
  } catch (error) {
    log?.(`cannot close the ${what}: ${messageOf(error)}`, error);
  }
}

function stopIf(signal: AbortSignal): void {
  if (!signal.aborted) return;
  const reason: unknown = signal.reason;
  throw reason instanceof CancelledError ? reason : new CancelledError('the job was stopped', { cause: reason });
}
