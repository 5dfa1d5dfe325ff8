import { inputsOf, recipeOf } from '../build/inputs.ts';
import type { Chroot } from '../chroot/chroot.ts';
import { readPackages } from '../chroot/dpkg-state.ts';
import { lockHolders } from '../chroot/package-lock.ts';
import { type ChrootConfig, configOf } from '../config/config.ts';
import { type Cause, describeCause, isUrgent } from '../decide/event.ts';
import { describeMoment } from '../decide/moment.ts';
import type { Decision } from '../decide/plan.ts';
import { isForced, note, type Pending, type Readiness, settle, withoutForce } from '../decide/settle.ts';
import type { When } from '../decide/when.ts';
import { BusyError, CancelledError, messageOf } from '../errors.ts';
import type { BuildRequest, Outcome } from '../report/control.ts';
import type { Engine, Site } from '../steps/site.ts';
import { readChrootState, updateChrootState } from '../store/chroot-state.ts';
import type { Clock } from '../system/clock.ts';
import { Askers, type Listener } from './askers.ts';
import { decisionNow, isCurrentDamaged } from './decision.ts';
import type { ImagesLock } from './images-lock.ts';
import { LiveWatch } from './live-watch.ts';
import type { JobKind, JobQueue } from './queue.ts';
import { type RebuildResult, rebuild } from './rebuild.ts';
import { type RevertResult, revert } from './revert.ts';
import { buildAhead, publishAhead, stagedImage } from './stage.ts';
import { holdEnd, timingNow } from './timing.ts';

/** What a caretaker is doing, for those who ask. */
export type Activity =
  | { kind: 'idle' }
  | { kind: 'waiting'; reason: string; until: number | null }
  /** Something is due and waits for a moment that somebody chose. */
  | { kind: 'resting'; reason: string; until: number }
  | { kind: 'looking' }
  | { kind: 'building'; text: string; percent: number | null };

export type CaretakerParts = {
  /** With the config of this moment. */
  site: () => Site;
  queue: JobQueue;
  lock: ImagesLock;
  clock: Clock;
};

/** A chroot that changes while it is read is read again this often before it is left alone for a while. */
const VOIDS_IN_A_ROW = 3;

/**
 * Looks after one chroot: takes events in, waits until it is settled, looks at it, plans, and has it built. One thing at
 * a time; events that come meanwhile are looked at once, afterwards.
 */
export class Caretaker {
  readonly chroot: Chroot;
  readonly #parts: CaretakerParts;
  readonly #live: LiveWatch;
  readonly #stop = new AbortController();
  #activity: Activity = { kind: 'idle' };
  #pending: Pending | undefined;
  /** Those who wait for the next look, and those whom the look or build that runs now is for. */
  readonly #askers = new Askers();
  readonly #served = new Askers();
  #working: Promise<void> | null = null;
  /** Set while it waits until the chroot is settled. */
  #wake: (() => void) | null = null;
  /** Set after a failure, for another try. */
  #retry: (() => void) | null = null;
  #voids = 0;
  /** How many reverts there were: a look that began before the last one must not force anything. */
  #reverts = 0;

  constructor(chroot: Chroot, parts: CaretakerParts) {
    this.chroot = chroot;
    this.#parts = parts;
    this.#live = new LiveWatch(chroot.name, {
      ...parts,
      onDamaged: () => this.notice({ kind: 'damaged' }),
      onMissing: () => this.notice({ kind: 'look' }),
    });
  }

  get activity(): Activity {
    return this.#activity;
  }

  /** Something may have changed. Cheap: a burst of a thousand calls costs one look. */
  notice(cause: Cause): void {
    if (this.#stop.signal.aborted) return;
    const event = { name: this.chroot.name, cause, at: this.#parts.clock.now() };
    const first = this.#pending === undefined;
    this.#pending = note(this.#pending, event);
    // a timer that is set finds out itself that there was a later event
    if (this.#working === null && (first || isUrgent(cause))) this.#consider();
  }

  /** Looks at what clients get of this chroot: at some of it, or all of it from the disk. Never throws. */
  lookAtLive(depth: 'sample' | 'whole'): Promise<void> {
    return this.#live.look(depth);
  }

  /** Asks for a look at once and a build if one is due, or in any case; resolves when it is done or refused. */
  ask(request: Pick<BuildRequest, 'force' | 'locks'>, listener: Listener): Promise<Outcome> {
    const { name } = this.chroot;
    if (this.#stop.signal.aborted) return Promise.resolve(stopped(name));
    const other = request.locks === 'no wait' ? this.#parts.queue.inTheWayOf(name) : undefined;
    if (other !== undefined) {
      const message = `cannot build ${name} now: a job of ${other} is running (pid ${process.pid})`;
      return Promise.resolve({ name, kind: 'busy', message, id: null });
    }
    const answer = this.#askers.add(request.locks, listener);
    this.notice({ kind: 'command', force: request.force });
    return answer;
  }

  /** Takes the chroot back to its previous generation or to `to`; ends a build of it that has not been published. */
  async revert(to: string | null): Promise<Outcome> {
    const { name } = this.chroot;
    const { queue, lock } = this.#parts;
    const site = this.#parts.site();
    const why = `a revert of ${name} was asked for`;
    this.#forgetForce(why);
    queue.cancel(name, why, 'builds');
    const job = async (signal: AbortSignal): Promise<Outcome> => {
      const result = await lock.during(
        `revert ${name}`,
        signal,
        (holder) => site.log.warn('revert.waiting', { name }, `${name}: waiting for ${holder}`),
        () => revert(site, { name, because: 'asked', to, signal }),
      );
      return { name, id: null, ...result };
    };
    const outcome = await queue.submit({ name, kind: 'revert', run: job }).catch((error): Outcome => {
      const { kind, message } = resultOfError(error);
      return { name, kind, message, id: null };
    });
    // it may have ended a build for nothing, which is still due
    if (outcome.kind !== 'reverted') this.notice({ kind: 'look' });
    return outcome;
  }

  /** Ends a build that has not been published, after a hold was noted. */
  stopBuild(why: string): void {
    this.#forgetForce(why);
    this.#parts.queue.cancel(this.chroot.name, why, 'builds');
    this.notice({ kind: 'look' });
  }

  /** What was forced before a revert counts no more: it would end the hold. Whom no look will serve is told so. */
  #forgetForce(why: string): void {
    this.#reverts += 1;
    if (this.#pending === undefined) return;
    this.#pending = withoutForce(this.#pending);
    if (this.#pending !== undefined) return;
    this.#askers.answer({ name: this.chroot.name, kind: 'cancelled', message: why, id: null });
    if (this.#working !== null) return;
    this.#wake?.();
    this.#wake = null;
    this.#activity = { kind: 'idle' };
  }

  /** Ends what is running, undone, and takes no more events. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    this.#retry?.();
    this.#parts.queue.cancel(this.chroot.name, 'the program is stopping', 'all');
    await Promise.all([this.#working, this.#live.close()]);
    for (const askers of [this.#served, this.#askers]) askers.answer(stopped(this.chroot.name));
  }

  #consider(): void {
    this.#wake?.();
    this.#wake = null;
    this.#retry?.();
    this.#retry = null;
    this.#working = this.#work()
      .catch((error) => this.#unready(error))
      .finally(() => {
        this.#working = null;
        if (this.#pending !== undefined && this.#wake === null && !this.#stop.signal.aborted) this.#consider();
      });
  }

  async #work(): Promise<void> {
    const pending = this.#pending;
    if (pending === undefined) return;
    const { clock } = this.#parts;
    const site = this.#parts.site();
    const settings = configOf(site.config, this.chroot.name);
    const limits = { quiet: settings.watch.quiet, maxWait: settings.watch.maxWait };
    // dpkg's state is read only when nothing else is to be waited for
    const quiet = settle(pending, { holders: [], unfinished: [] }, clock.now(), limits);
    if (quiet.kind === 'waiting') return this.#wait(quiet.reason, quiet.until);
    const readiness = this.#readiness();
    const settled = settle(pending, readiness, clock.now(), limits);
    if (settled.kind === 'waiting') {
      this.#refuse(pending, readiness, settled.reason);
      if (this.#pending !== undefined) this.#wait(settled.reason, settled.until);
      return;
    }
    this.#pending = undefined;
    await this.#look(pending.causes, settings);
    if (pending.causes.some(({ kind }) => kind === 'damaged')) await this.#replaceDamaged();
  }

  /** A damaged image that could not be built anew makes room for an older one that is sound. */
  async #replaceDamaged(): Promise<void> {
    const { queue, lock } = this.#parts;
    const site = this.#parts.site();
    const { name } = this.chroot;
    if (this.#stop.signal.aborted || !isCurrentDamaged(site, name)) return;
    const job = (signal: AbortSignal): Promise<RevertResult> => {
      const run = async (): Promise<RevertResult> => revert(site, { name, because: 'damaged', signal });
      return lock.during(`revert ${name}`, signal, () => {}, run);
    };
    await queue.submit({ name, kind: 'revert', run: job }).catch((error) => failureOf(site, name, error));
  }

  #readiness(): Readiness {
    const holders = lockHolders(this.chroot);
    if (holders.length === 0) return { holders, unfinished: readPackages(this.chroot).unfinished };
    // of a lock such as ours the kernel does not tell who has it
    const builder = this.#parts.lock.holderFor(`build ${this.chroot.name}`);
    return { holders: builder === undefined ? holders : [builder], unfinished: [] };
  }

  /** It cannot even be told whether the chroot may be read. What is pending waits for the next try as well. */
  #unready(error: unknown): void {
    this.#pending = undefined;
    this.#served.join(this.#askers);
    this.#finish(failureOf(this.#parts.site(), this.chroot.name, error), []);
  }

  /** Those who would not wait get their answer, and all when a package is broken that no running program will finish. */
  #refuse(pending: Pending, readiness: Readiness, reason: string): void {
    const { name } = this.chroot;
    if (this.#askers.none) return;
    const broken = readiness.holders.length === 0;
    const hint = broken ? ' (finish it in the chroot with dpkg --configure -a, or build with --force)' : '';
    const message = `cannot build ${name} now: ${reason}${hint}`;
    this.#askers.answer({ name, kind: 'busy', message, id: null }, broken ? 'all' : 'impatient');
    if (!this.#askers.none || pending.causes.some((cause) => cause.kind !== 'command')) return;
    this.#pending = undefined;
    this.#activity = { kind: 'idle' };
  }

  #wait(reason: string, until: number | null): void {
    const { clock } = this.#parts;
    if (this.#activity.kind !== 'waiting' || this.#activity.reason !== reason) {
      this.#parts
        .site()
        .log.debug('chroot.waiting', { name: this.chroot.name, until }, `${this.chroot.name}: ${reason}`);
      this.#askers.tell(reason, null);
    }
    this.#activity = { kind: 'waiting', reason, until };
    if (until === null) return;
    this.#wake = clock.after(until - clock.now(), () => this.#consider());
  }

  async #look(causes: readonly Cause[], settings: ChrootConfig): Promise<void> {
    const site = this.#parts.site();
    const { name } = this.chroot;
    this.#activity = { kind: 'looking' };
    this.#served.join(this.#askers);
    const reverts = this.#reverts;
    try {
      const recipe = recipeOf(site.config, this.chroot, settings);
      const { digest } = await inputsOf(site.tree, this.chroot, recipe, this.#stop.signal);
      rememberLook(site, name, digest);
      const decision = decisionNow(site, name, causes, digest);
      if (decision.kind === 'skip') return this.#skip(decision, causes, digest);
      const timing = this.#timing(causes, digest);
      if (timing.kind === 'later') return this.#rest(timing);
      if (this.#stop.signal.aborted) throw new CancelledError('the program is stopping');
      this.#activity = { kind: 'waiting', reason: 'waiting for its turn', until: null };
      // A revert, or another program's build, may come first: what is decided when nobody else can come counts.
      const job = async (signal: AbortSignal): Promise<RebuildResult | Skip | Later> => {
        const valid = this.#reverts === reverts ? causes : causes.filter((cause) => !isForced(cause));
        const now = decisionNow(site, name, valid, digest);
        if (now.kind === 'skip') return now;
        const then = this.#timing(valid, digest);
        return then.kind === 'later'
          ? then
          : this.#build(now, then.what, { causes: valid, inputs: digest }, settings, signal);
      };
      const run = (signal: AbortSignal) => this.#alone(signal, job);
      const result = await this.#parts.queue.submit({ name, kind: jobKindOf(causes), run });
      if (result.kind === 'skip') this.#skip(result, causes, digest);
      else if (result.kind === 'later') this.#rest(result);
      else this.#finish(result, causes);
    } catch (error) {
      this.#finish(failureOf(site, name, error), causes);
    }
  }

  #skip({ state, reason }: Skip, causes: readonly Cause[], inputs: string): void {
    const { name } = this.chroot;
    const site = this.#parts.site();
    this.#activity = { kind: 'idle' };
    this.#voids = 0;
    const event = state === 'current' ? 'image.unchanged' : 'build.skipped';
    const fields = { name, state, causes: causes.map(describeCause) };
    const message = `${name}: nothing to build: ${reason}`;
    site.log.info(event, fields, message);
    this.#served.answer({ name, kind: SKIPPED[state], message: `${name}: ${reason}`, id: null });
    if (state === 'current') site.notify({ kind: 'well-again', name, id: null, message, state: inputs });
    if (state === 'quarantined') site.notify({ kind: 'quarantined', name, id: null, message, state: inputs });
    const until = state === 'held' ? holdEnd(site, name) : null;
    if (until !== null) this.#lookAt(until);
  }

  /** When what is due is to be done. */
  #timing(causes: readonly Cause[], inputs: string): When {
    const asked = this.#served.none ? 'unasked' : 'asked';
    return timingNow(this.#parts.site(), this.chroot, { causes, asked, inputs, now: this.#parts.clock.now() });
  }

  /** Waits until lessons are over. */
  #rest({ reason, until }: Later): void {
    const { name } = this.chroot;
    const words = `${reason} when quiet hours end, at ${describeMoment(new Date(until).toISOString())}`;
    this.#parts.site().log.info('build.later', { name, until }, `${name}: ${words}`);
    this.#voids = 0;
    this.#activity = { kind: 'resting', reason: words, until };
    this.#lookAt(until);
  }

  /** Looks again at a moment, if nothing happens before. */
  #lookAt(moment: number): void {
    const { clock } = this.#parts;
    this.#retry = clock.after(moment - clock.now(), () => this.notice({ kind: 'look' }));
  }

  /** Under the lock of all programs that build or switch. */
  #alone<T>(signal: AbortSignal, job: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { name } = this.chroot;
    const onWait = this.#served.patient ? (holder: string) => this.#progress(`waiting for ${holder}`, null) : null;
    return this.#parts.lock.during(`build ${name}`, signal, onWait, () => job(signal));
  }

  #build(
    { reason, twin }: Extract<Decision, { kind: 'build' }>,
    what: Extract<When, { kind: 'now' }>['what'],
    { causes, inputs }: { causes: readonly Cause[]; inputs: string },
    settings: ChrootConfig,
    signal: AbortSignal,
  ): Promise<RebuildResult> {
    const site = this.#parts.site();
    const onProgress = (text: string, percent: number | null): void => this.#progress(text, percent);
    const engine = engineFor(causes, twin);
    const request = { chroot: this.chroot, settings, reason, twin, engine, signal, onProgress };
    const staged = what === 'publish' ? stagedImage(site, this.chroot.name, inputs) : null;
    if (staged !== null) return publishAhead(site, request, staged);
    return what === 'build' ? buildAhead(site, request) : rebuild(site, request);
  }

  #progress(text: string, percent: number | null): void {
    this.#activity = { kind: 'building', text, percent };
    this.#served.tell(text, percent);
    this.#askers.tell(text, percent);
  }

  #finish(result: RebuildResult, causes: readonly Cause[]): void {
    this.#activity = { kind: 'idle' };
    this.#voids = result.kind === 'void' ? this.#voids + 1 : 0;
    if (result.kind === 'busy') {
      this.#busy(result, causes);
    } else if (result.kind === 'failed') {
      this.#failed(result.message, causes);
    } else if (result.kind === 'staged') {
      // it tells until when that waits, or that lessons are over meanwhile
      this.notice({ kind: 'look' });
    } else if (result.kind !== 'void') {
      this.#served.answer({ name: this.chroot.name, id: null, ...result });
    } else if (this.#voids < VOIDS_IN_A_ROW) {
      this.#again(causes);
    } else {
      this.#voids = 0;
      this.#failed(`${result.message}, ${VOIDS_IN_A_ROW} times in a row`, causes);
    }
  }

  /** Apt, or another program that builds, came between the look and the build: no failure, and no end of the wait. */
  #busy({ message }: { message: string }, causes: readonly Cause[]): void {
    this.#served.answer({ name: this.chroot.name, kind: 'busy', message, id: null }, 'impatient');
    if (!this.#served.none || causes.some((cause) => cause.kind !== 'command')) this.#again(causes);
  }

  /** Another look, for the same people. One that was forced stays so. */
  #again(causes: readonly Cause[]): void {
    this.#askers.join(this.#served);
    for (const cause of causes.filter(isForced)) this.notice(cause);
    this.notice({ kind: 'again' });
  }

  /** Not built, for a reason that lies outside the image: it stays due and is tried again later. */
  #failed(message: string, causes: readonly Cause[]): void {
    const { clock } = this.#parts;
    const site = this.#parts.site();
    const { name } = this.chroot;
    this.#served.answer({ name, kind: 'failed', message, id: null });
    if (this.#stop.signal.aborted) return;
    const delay = configOf(site.config, name).watch.lookEvery;
    this.#activity = { kind: 'waiting', reason: message, until: clock.now() + delay };
    const forced = causes.filter((cause) => cause.kind === 'trigger' && isForced(cause));
    this.#retry = clock.after(delay, () => {
      for (const cause of forced) this.notice(cause);
      this.notice({ kind: 'look' });
    });
  }
}

/** What a skipped build is to the one who asked for it. */
const SKIPPED = { current: 'unchanged', quarantined: 'rejected', held: 'skipped' } as const;

type Skip = Extract<Decision, { kind: 'skip' }>;
type Later = Extract<When, { kind: 'later' }>;

/**
 * At night there is time to get rid of what many small changes have left unused, and who asks for the same image once more
 * wants it new.
 */
function engineFor(causes: readonly Cause[], twin: 'twin' | 'new'): Engine {
  if (twin === 'twin') return { kind: 'full', why: 'the same image was asked for once more' };
  if (causes.some(({ kind }) => kind === 'schedule')) return { kind: 'full', why: 'the nightly run' };
  return { kind: 'any' };
}

function resultOfError(error: unknown): Extract<RebuildResult, { kind: 'cancelled' | 'busy' | 'failed' }> {
  const message = messageOf(error);
  if (error instanceof CancelledError) return { kind: 'cancelled', message };
  if (error instanceof BusyError) return { kind: 'busy', message, holder: error.holder };
  return { kind: 'failed', message };
}

/** What a look ended with that could not be made, or that could not go on to a build. */
function failureOf(site: Site, name: string, error: unknown): RebuildResult {
  const result = resultOfError(error);
  if (result.kind === 'failed') site.log.warn('build.failed', { name }, result.message);
  return result;
}

function stopped(name: string): Outcome {
  return { name, kind: 'cancelled', message: 'the program is stopping', id: null };
}

function rememberLook(site: Site, name: string, inputs: string): void {
  const { paths } = site.config;
  if (readChrootState(paths, name).looked?.inputs === inputs) return;
  const at = new Date(site.now()).toISOString();
  updateChrootState(paths, name, (state) => ({ ...state, looked: { inputs, at } }));
}

const ORDER: readonly JobKind[] = ['revert', 'asked', 'changed', 'scheduled'];

/** Of several causes the most urgent one decides about the place in the queue. */
function jobKindOf(causes: readonly Cause[]): JobKind {
  const kinds = causes.map((cause) =>
    isUrgent(cause) ? 'asked' : cause.kind === 'schedule' ? 'scheduled' : 'changed',
  );
  return ORDER.find((kind) => kinds.some((one) => one === kind)) ?? 'changed';
}
