/** Something that tells of changes until it is closed; after that it calls nobody. */
export type Source = {
  close: () => Promise<void>;
  /** `polling` as soon as one of its directories is polled. */
  readonly mode: 'inotify' | 'polling';
  /** The directories that are watched now, absolute and free of symlinks. */
  readonly watched: string[];
};
