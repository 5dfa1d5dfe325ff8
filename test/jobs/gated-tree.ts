import { CancelledError } from '../../src/errors.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import type { Change, Tree } from '../../src/tree/look.ts';

/** Where a gate stands: before a caretaker's look, before the walk of a build, before that after it. */
type Place = 'look' | 'build' | 'compare';

/** Real walks that a test can hold up at the next time, fail, or have find a change. */
export class GatedTree implements Tree {
  /** Looks of the caretaker, not those of a build. */
  looks = 0;
  /** What the next walks after a build find, one each. */
  readonly changes: Change[][] = [];
  /** Errors of the next looks of the caretaker. */
  readonly lookErrors: Error[] = [];
  readonly #gates = new Map<Place, { reached: () => void; open: Promise<void> }>();

  compareImage = treeInThread.compareImage;

  look: Tree['look'] = async (request, signal) => {
    const place = request.manifestFile === undefined ? 'look' : 'build';
    if (place === 'look') this.looks += 1;
    await this.#pass(place, signal);
    const error = place === 'look' ? this.lookErrors.shift() : undefined;
    if (error !== undefined) throw error;
    return treeInThread.look(request, signal);
  };

  compareWalk: Tree['compareWalk'] = async (request, signal) => {
    await this.#pass('compare', signal);
    return this.changes.shift() ?? treeInThread.compareWalk(request, signal);
  };

  /** Holds the next one up there. `reached` resolves when it stands there, `open` lets it go on. */
  gate(place: Place): { reached: Promise<void>; open: () => void } {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const reached = new Promise<void>((resolve) => this.#gates.set(place, { reached: resolve, open: opened }));
    return { reached, open };
  }

  async #pass(place: Place, signal: AbortSignal | undefined): Promise<void> {
    const gate = this.#gates.get(place);
    if (gate === undefined) return;
    this.#gates.delete(place);
    gate.reached();
    const stopped = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(new CancelledError('the walk was stopped')));
    });
    await Promise.race([gate.open, stopped]);
  }
}
