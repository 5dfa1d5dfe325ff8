import { CancelledError } from '../errors.ts';
import { compareImage, compareWalk, look, type Tree } from './look.ts';

/** Walks in this thread, which does nothing else meanwhile: for a command, which has nothing else to do. */
export const treeInThread: Tree = {
  look: async (request, signal) => unlessStopped(signal, () => look(request)),
  compareWalk: async (request, signal) => unlessStopped(signal, () => compareWalk(request)),
  compareImage: async (request, signal) => unlessStopped(signal, () => compareImage(request)),
};

function unlessStopped<T>(signal: AbortSignal | undefined, work: () => T): T {
  if (signal?.aborted === true) throw new CancelledError('the walk was stopped');
  return work();
}
