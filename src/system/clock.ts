/** Milliseconds since the epoch, and timers. Pure code takes the time as an argument; what lives takes a Clock. */
export type Clock = {
  now: () => number;
  /** Calls `callback` once after `delay` milliseconds; returns what cancels it. */
  after: (delay: number, callback: () => void) => () => void;
};

/** setTimeout's limit: longer waits would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (delay, callback) => {
    const timer = setTimeout(callback, Math.min(Math.max(delay, 0), LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
};
