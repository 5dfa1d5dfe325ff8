import { stampOf, watchedPaths } from './stamp.ts';

export type RegularLookOptions = {
  /** The chroot. */
  directory: string;
  /** Extra paths, relative to it. */
  extra: readonly string[];
  /** Milliseconds between two looks. */
  every: number;
  onDifference: () => void;
};

/**
 * Compares every now and then what stat says of the watched paths with what it said the last time: the kernel drops events
 * that nobody takes in time and tells nobody here, and some file systems give none.
 */
export function lookRegularly({ directory, extra, every, onDifference }: RegularLookOptions): { close: () => void } {
  const look = (): string => stampOf(watchedPaths(directory, extra));
  let last = look();
  const timer = setInterval(() => {
    const now = look();
    if (now === last) return;
    last = now;
    onDifference();
  }, every);
  return { close: () => clearInterval(timer) };
}
