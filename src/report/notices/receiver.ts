import type { Tidings } from './notice.ts';

/** Somebody who is told. */
export type Receiver = {
  /** Names it in the memory and in the log: `mail`, `webhook`, `notify.d/10-lamp`. */
  id: string;
  /** Resolves when it has it. @throws an error in words that has no secret in it; CancelledError when `signal` ended it */
  deliver: (tidings: Tidings, signal: AbortSignal) => Promise<void>;
};
