import type { BuildRequest, Outcome } from '../report/control.ts';

/** Told what goes on while somebody waits for an answer. */
export type Listener = (text: string, percent: number | null) => void;

/** Somebody who asked for a build and waits for the answer. */
type Asker = { locks: BuildRequest['locks']; listener: Listener; answer: (outcome: Outcome) => void };

/** Those who asked for a build of one chroot and wait for what comes of it. */
export class Askers {
  #askers: Asker[] = [];

  /** Resolves with the answer. */
  add(locks: BuildRequest['locks'], listener: Listener): Promise<Outcome> {
    return new Promise((answer) => this.#askers.push({ locks, listener, answer }));
  }

  get none(): boolean {
    return this.#askers.length === 0;
  }

  /** True when nobody refuses to wait for a lock. */
  get patient(): boolean {
    return this.#askers.every(({ locks }) => locks === 'wait');
  }

  /** Takes those of another over. */
  join(others: Askers): void {
    this.#askers.push(...others.#askers.splice(0));
  }

  tell(text: string, percent: number | null): void {
    for (const { listener } of this.#askers) listener(text, percent);
  }

  /** Answers all of them, or those who would not wait. */
  answer(outcome: Outcome, who: 'all' | 'impatient' = 'all'): void {
    const answered = this.#askers.filter(({ locks }) => who === 'all' || locks === 'no wait');
    this.#askers = this.#askers.filter((asker) => !answered.includes(asker));
    for (const { answer } of answered) answer(outcome);
  }
}
