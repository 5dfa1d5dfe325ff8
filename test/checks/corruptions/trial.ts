import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { incrementalInThread } from '../../../src/build/incremental/in-thread.ts';
import { contentsInThread } from '../../../src/checks/sample.ts';
import type { Chroot } from '../../../src/chroot/chroot.ts';
import { type ChrootConfig, configOf } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { Caretaker } from '../../../src/jobs/caretaker.ts';
import { ImagesLock } from '../../../src/jobs/images-lock.ts';
import { JobQueue } from '../../../src/jobs/queue.ts';
import { type RebuildRequest, type RebuildResult, rebuild } from '../../../src/jobs/rebuild.ts';
import type { Log } from '../../../src/report/log.ts';
import type { Site } from '../../../src/steps/site.ts';
import { updateChrootState } from '../../../src/store/chroot-state.ts';
import { digestOf } from '../../../src/store/digest.ts';
import { candidateOf, imageFile } from '../../../src/store/layout.ts';
import { readLinks } from '../../../src/store/links.ts';
import { readRecord } from '../../../src/store/records.ts';
import { rejected } from '../../../src/store/rejected.ts';
import { systemClock } from '../../../src/system/clock.ts';
import { treeInThread } from '../../../src/tree/in-thread.ts';
import { checkCron } from '../../../src/watch/schedule.ts';
import { Server } from '../../end-to-end/server.ts';
import { type Corruption, corrupt } from './corruption.ts';
import type { Random } from './random.ts';
import { makeSourceTree } from './source-tree.ts';

/** `by`: the names of the checks that failed; `isPublished`: whether clients get anything but what they got before. */
export type Caught = { by: string[]; isPublished: boolean };

/** `mended`: clients get a sound image again. */
export type Found = { by: 'sample' | 'whole' | 'nothing'; mended: 'mended' | 'not mended' };

const NAME = 'amd64';

/** What rsync would change, with contents compared, to make the image $1 of the image $0. Both mounts go with it. */
const COMPARE = `
mount -t tmpfs tmpfs /mnt
mkdir /mnt/one /mnt/other
mount -t squashfs -o loop,ro "$0" /mnt/one
mount -t squashfs -o loop,ro "$1" /mnt/other
exec rsync -rlpgoDHAXn --checksum --delete --itemize-changes /mnt/one/ /mnt/other/
`;

/**
 * A server with one chroot and its image, which gets corrupted images where real ones come from: before a digest is taken,
 * between the build and the checks, and where clients get them.
 */
export class Trial {
  /** A sound image of the chroot. */
  readonly sound: string;
  readonly #server: Server;
  readonly #site: Site;
  readonly #chroot: Chroot;
  readonly #caretaker: Caretaker;
  readonly #events: { event: string; message: string }[] = [];
  #wake: (() => void)[] = [];

  private constructor(compression: string, noise: number, random: Random) {
    this.#server = new Server();
    const { root } = this.#server;
    // the private nbd-server has to get in
    fs.chmodSync(root, 0o755);
    fs.mkdirSync(this.#server.images);
    fs.copyFileSync('/etc/group', path.join(root, 'etc/group'));
    const keep = '[keep]\ngenerations = 1\ngrace = "0s"\n';
    this.#server.configure(
      `${keep}[build]\ncompression = "${compression}"\n[check]\nnbd = "off"\n[watch]\nlook_every = "1h"\n`,
    );
    this.#chroot = { name: NAME, path: path.join(this.#server.base, NAME) };
    makeSourceTree(this.#chroot.path, noise, random);
    const config = loadConfig({ root, checkCron });
    this.#site = {
      config,
      log: this.#log(),
      tree: treeInThread,
      contents: contentsInThread,
      incremental: incrementalInThread,
      notify: () => {},
      now: Date.now,
    };
    const parts = { queue: new JobQueue({ concurrency: 1 }), clock: systemClock };
    const lock = new ImagesLock(config.paths.lock, 'trial', async () => {});
    this.#caretaker = new Caretaker(this.#chroot, { site: () => this.#site, lock, ...parts });
    this.sound = path.join(root, 'sound.img');
  }

  /** @param noise bytes of the chroot that cannot be compressed */
  static async open(compression: 'gzip' | 'zstd', noise: number, random: Random): Promise<Trial> {
    const trial = new Trial(compression, noise, random);
    // what is as young as the walk counts as changed during it
    await new Promise((resolve) => setTimeout(resolve, 50));
    await trial.#build();
    fs.copyFileSync(trial.#live, trial.sound);
    return trial;
  }

  /** Corrupts a candidate after its digest was taken. */
  async ofCandidate(corruption: Corruption): Promise<Caught> {
    const before = await this.#liveDigest();
    const result = await this.#rebuild({
      settings: this.#settings({ nbd: 'required' }),
      onProgress: (text) => {
        if (text !== 'checking the image') return;
        const directory = path.dirname(candidateOf(this.#paths, NAME, 'x'));
        const candidate = fs.readdirSync(directory).find((name) => name.endsWith('.partial'));
        if (candidate === undefined) throw new Error('there is no candidate');
        corrupt(path.join(directory, candidate), corruption);
      },
    });
    return this.#caught(result, before);
  }

  /** Corrupts what mksquashfs has written, before anybody takes a digest of it; all contents are compared. */
  async ofBuild(corruption: Corruption): Promise<Caught & { reads: 'the same' | 'something else' }> {
    const written = path.join(this.#server.root, 'written.img');
    fs.copyFileSync(this.sound, written);
    corrupt(written, corruption);
    const former = process.env.PATH;
    this.#server.fakeMksquashfs('cat "$ROOT/written.img" >"$2"');
    process.env.PATH = this.#server.env.PATH;
    try {
      const before = await this.#liveDigest();
      const result = await this.#rebuild({ settings: this.#settings({ content: 'all' }) });
      const caught = await this.#caught(result, before);
      if (caught.isPublished) await this.#build();
      return { ...caught, reads: readsTheSame(this.sound, written) ? 'the same' : 'something else' };
    } finally {
      process.env.PATH = former;
    }
  }

  /** Corrupts, in place, what clients get, and looks at it by a sample, and then as a whole. */
  async ofLive(corruption: Corruption): Promise<Found> {
    const from = this.#events.length;
    const id = this.#liveId();
    corrupt(this.#live, corruption);
    for (const by of ['sample', 'whole'] as const) {
      await this.#caretaker.lookAtLive(by);
      if (!this.#events.slice(from).some(({ event }) => event === 'live.damaged')) continue;
      await this.#next('image.published', from);
      const record = readRecord(this.#paths, NAME, this.#liveId());
      const isSound = record !== undefined && record.id !== id && record.digest === (await this.#liveDigest());
      return { by, mended: isSound ? 'mended' : 'not mended' };
    }
    return { by: 'nothing', mended: 'not mended' };
  }

  async close(): Promise<void> {
    await this.#caretaker.close();
    await this.#server.remove();
  }

  get #paths(): Site['config']['paths'] {
    return this.#site.config.paths;
  }

  get #live(): string {
    return imageFile(this.#paths, NAME);
  }

  #liveId(): string {
    const { current } = readLinks(this.#paths, NAME);
    return current.kind === 'generation' ? current.id : '';
  }

  async #liveDigest(): Promise<string> {
    return (await digestOf(this.#live)).digest;
  }

  async #build(): Promise<void> {
    const result = await this.#rebuild({});
    if (result.kind !== 'published') throw new Error(result.message);
  }

  #settings(check: Partial<ChrootConfig['check']>): ChrootConfig {
    const settings = configOf(this.#site.config, NAME);
    // by mksquashfs, whose place a stand-in can take
    const build = { ...settings.build, engine: 'mksquashfs' } as const;
    return { ...settings, build, check: { ...settings.check, ...check } };
  }

  #rebuild(more: Partial<RebuildRequest>): Promise<RebuildResult> {
    const settings = this.#settings({});
    const { signal } = new AbortController();
    const request = { chroot: this.#chroot, settings, reason: 'a trial', twin: 'twin', signal } as const;
    return rebuild(this.#site, { ...request, onProgress: () => {}, ...more });
  }

  async #caught(result: RebuildResult, before: string): Promise<Caught> {
    const isPublished = (await this.#liveDigest()) !== before || result.kind === 'published';
    if (result.kind === 'published') return { by: [], isPublished };
    // a chroot whose image was refused is not built again by itself, and here it is not the chroot that is to blame
    updateChrootState(this.#paths, NAME, (state) => ({ ...state, quarantine: [] }));
    if (result.kind !== 'rejected') throw new Error(`${result.kind}: ${result.message}`);
    const checks = rejected(this.#paths, NAME)?.record.checks ?? [];
    return { by: checks.filter(({ passed }) => !passed).map(({ name }) => name), isPublished };
  }

  #log(): Log {
    const tell: Log['info'] = (event, _, message) => {
      this.#events.push({ event, message });
      for (const wake of this.#wake.splice(0)) wake();
    };
    return { debug: tell, info: tell, warn: tell, error: tell };
  }

  async #next(event: string, from: number): Promise<void> {
    while (!this.#events.slice(from).some((one) => one.event === event)) {
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

/**
 * Whether a client that mounts another image reads just what it reads in a sound one: names, types, modes, owners, links,
 * devices, extended attributes and contents. Times are not what an image is judged by.
 */
export function readsTheSame(sound: string, other: string): boolean {
  const args = ['60', 'unshare', '--mount', '--propagation', 'private', 'sh', '-ec', COMPARE, sound, other];
  const { status, stdout } = spawnSync('timeout', args, { encoding: 'utf8', maxBuffer: 1e9 });
  return status === 0 && stdout === '';
}
