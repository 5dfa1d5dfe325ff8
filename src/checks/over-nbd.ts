import { CancelledError, messageOf, RejectedError } from '../errors.ts';
import { NbdError } from '../serve/nbd/nbd-error.ts';
import { CannotCheckError } from './over-nbd/cannot-check.ts';
import { type ServedFile, whyUnreadable } from './over-nbd/file-access.ts';
import type { NbdServerIdentity } from './over-nbd/identity.ts';
import { mountOverNbd } from './over-nbd/mount.ts';
import { LOOPBACK, type PrivateServer, startPrivateServer } from './over-nbd/private-server.ts';
import { programOnPath } from './over-nbd/programs.ts';
import { type RecordedImage, readWhole, troubleInWords } from './over-nbd/read-whole.ts';

/** Starting the server, reading the export whole, mounting it and what the caller does with the mount. */
export type OverNbdLayer = 'serve' | 'read' | 'mount';

/** Milliseconds of each layer that was begun. */
export type LayerTimes = Partial<Record<OverNbdLayer, number>>;

/** `skipped`: it could not be made here, which says nothing about the image; layers before may have passed. */
export type OverNbdResult =
  | { kind: 'passed'; took: LayerTimes }
  | { kind: 'failed'; why: string; took: LayerTimes }
  | { kind: 'skipped'; why: string; took: LayerTimes };

export type OverNbdOptions = {
  /** Whom the server has to be, see `nbdServerIdentity`. */
  server: NbdServerIdentity;
  /** The path by which clients get it, see `startPrivateServer`; by default the file's own. */
  servedAs?: string;
  /** An existing directory, on which the server's files and the mount lie where only this check sees them. */
  mountPoint: string;
  /** Milliseconds for all layers together. */
  timeout: number;
  signal?: AbortSignal | undefined;
  /**
   * Looks at the mounted image. RejectedError is a finding; `signal` ends it together with the mount, and it is not
   * waited for then.
   */
  mounted: (root: string, signal: AbortSignal) => Promise<void>;
};

const DOING: Record<OverNbdLayer, string> = {
  serve: 'an nbd-server of our own did not get ready',
  read: 'reading it whole over NBD did not end',
  mount: 'mounting it over NBD and reading the mount did not end',
};

/** No server needs so long for an answer, not even on a disk that others keep busy. */
const LONGEST_ANSWER = 30_000;

/**
 * Proves an image the way clients use it: a private nbd-server, run as the real one's user and group, serves it; our client
 * reads it whole and its digest has to be the recorded one; then it is mounted over NBD and looked at.
 * Whatever was started is gone afterwards, and also when this process is killed.
 * @throws CancelledError when `options.signal` ends it; what `mounted` throws besides RejectedError
 */
export async function checkOverNbd(image: RecordedImage, options: OverNbdOptions): Promise<OverNbdResult> {
  if (programOnPath('nbd-server') === undefined) {
    const why = 'cannot serve the image over NBD: nbd-server is not installed (apt-get install nbd-server)';
    return { kind: 'skipped', why, took: {} };
  }
  const limit = AbortSignal.timeout(options.timeout);
  const given = options.signal ?? new AbortController().signal;
  const layers = new Layers();
  try {
    await inLayers(layers, image, options, AbortSignal.any([given, limit]));
    return { kind: 'passed', took: layers.took };
  } catch (error) {
    if (given.aborted) throw new CancelledError('the check over NBD was stopped');
    if (limit.aborted) {
      const why = `${DOING[layers.unfinished]} within ${options.timeout / 1000} s (check.timeout)`;
      return { kind: 'failed', why, took: layers.took };
    }
    if (error instanceof CannotCheckError) return { kind: 'skipped', why: messageOf(error), took: layers.took };
    if (error instanceof RejectedError) return { kind: 'failed', why: messageOf(error), took: layers.took };
    throw error;
  }
}

async function inLayers(
  layers: Layers,
  image: RecordedImage,
  options: OverNbdOptions,
  signal: AbortSignal,
): Promise<void> {
  const { server: identity, mountPoint, timeout, servedAs = image.file } = options;
  const server = await layers.run('serve', () =>
    startPrivateServer({ file: image.file, servedAs, identity, mountPoint, signal }),
  );
  try {
    // short of the whole limit, so that silence is told from slowness
    const answer = Math.min(LONGEST_ANSWER, timeout / 2);
    const address = { host: LOOPBACK, port: server.port };
    const reading = layers.run('read', () =>
      orTrouble({ file: image.file, servedAs }, identity, signal, () =>
        readWhole(address, server.exportName, image, { timeout: answer, signal }),
      ),
    );
    const stop = new AbortController();
    reading.catch(() => stop.abort());
    const either = AbortSignal.any([signal, stop.signal]);
    const mounting = layers.run('mount', () => lookAtMount(server, options, either));
    // beside each other; of two failures what the read found is the cause
    for (const outcome of await Promise.allSettled([reading, mounting])) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
  } finally {
    await server.close();
  }
}

/** What the server does not do is a finding, with its cause where that can be seen. */
async function orTrouble(
  served: ServedFile,
  identity: NbdServerIdentity,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof NbdError) || error.trouble === 'stopped') throw error;
    const cause = error.trouble === 'refused' ? await whyUnreadable(served, identity, signal) : null;
    throw new RejectedError(`clients would not get the image: ${cause ?? troubleInWords(error)}`);
  }
}

async function lookAtMount(server: PrivateServer, options: OverNbdOptions, signal: AbortSignal): Promise<void> {
  const mount = await mountOverNbd(server, options.mountPoint, signal);
  try {
    const ended = mount.ended.then((said) => {
      throw new RejectedError(`the mount over NBD ended while it was read${said === '' ? '' : `: ${said}`}`);
    });
    const look = options.mounted(mount.root, signal);
    // whichever is late is told to nobody
    look.catch(() => undefined);
    ended.catch(() => undefined);
    await Promise.race([look, ended]);
  } finally {
    await mount.close();
  }
}

/** Takes the time of each layer, also of one that fails. */
class Layers {
  readonly took: LayerTimes = {};
  readonly #begun: OverNbdLayer[] = [];
  readonly #passed = new Set<OverNbdLayer>();

  /** The first of those that have not passed. */
  get unfinished(): OverNbdLayer {
    return this.#begun.find((layer) => !this.#passed.has(layer)) ?? 'serve';
  }

  async run<T>(layer: OverNbdLayer, work: () => Promise<T>): Promise<T> {
    this.#begun.push(layer);
    const started = performance.now();
    try {
      const result = await work();
      this.#passed.add(layer);
      return result;
    } finally {
      this.took[layer] = Math.round(performance.now() - started);
    }
  }
}
