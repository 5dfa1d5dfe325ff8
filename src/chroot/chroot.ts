/** A directory with a client's root filesystem. */
export type Chroot = {
  /** The last path part without extension; the host's architecture for `/`. */
  name: string;
  /** Absolute, without trailing slash (except `/`). */
  path: string;
};
