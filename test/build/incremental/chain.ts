import fs from 'node:fs';
import path from 'node:path';
import type { Compression } from '../../../src/build/compression.ts';
import type { FormerGeneration } from '../../../src/build/incremental/former.ts';
import { buildIncrementally, type IncrementalRequest, type IncrementalResult } from '../../../src/build/incremental.ts';
import { mksquashfs } from '../../../src/build/mksquashfs.ts';
import { digestOf } from '../../../src/store/digest.ts';
import { look, readingFromNow } from '../../../src/tree/look.ts';
import { bindManifest } from '../../../src/tree/manifest.ts';

/** Images of one source, each made from the one before. */
export type Chain = {
  directory: string;
  source: string;
  /** Builds in full with mksquashfs. */
  full: (options?: {
    compression?: Compression;
    excludes?: readonly string[];
    root?: string;
  }) => Promise<FormerGeneration>;
  request: (former: FormerGeneration | null, options?: Partial<IncrementalRequest>) => IncrementalRequest;
  /** Takes the digest of what was built, as whoever publishes it does. */
  finish: (request: IncrementalRequest) => Promise<FormerGeneration>;
};

export const GZIP: Compression = { type: 'gzip', level: 1 };

const nothing = { excludePatterns: [], ignorePatterns: [], skipContents: [] };

/** @param directory existing and empty */
export function chainIn(directory: string): Chain {
  const source = path.join(directory, 'source');
  fs.mkdirSync(source);
  let number = 0;
  const next = (): { image: string; manifest: string } => {
    number++;
    return { image: path.join(directory, `${number}.img`), manifest: path.join(directory, `${number}.manifest`) };
  };
  return {
    directory,
    source,
    full: async ({ compression = GZIP, excludes = [], root = source } = {}) => {
      const { image, manifest } = next();
      const readSince = readingFromNow();
      look({ root, ...nothing, excludePatterns: excludes, manifestFile: manifest, readSince });
      await mksquashfs({
        source: root,
        image,
        compression,
        excludes,
        nice: false,
        signal: new AbortController().signal,
        onPercent: () => undefined,
      });
      return await finished(image, manifest);
    },
    request: (former, options = {}) => {
      const { image, manifest } = next();
      return {
        look: { root: source, ...nothing, manifestFile: manifest },
        chroot: source,
        former,
        target: image,
        compression: GZIP,
        trust: 'stat',
        verify: { kind: 'all' },
        deadLimit: 1e6,
        nice: false,
        time: 1_700_000_000,
        ...options,
      };
    },
    finish: (request) => finished(request.target, request.look.manifestFile),
  };
}

async function finished(image: string, manifest: string): Promise<FormerGeneration> {
  const { digest, size, sums } = await digestOf(image);
  bindManifest(manifest, digest);
  return { image, manifest, digest, size, sums };
}

export type Built = Extract<IncrementalResult, { kind: 'built' }>;

/** Builds, and it must not want a full build. */
export async function built(request: IncrementalRequest): Promise<Built> {
  const result = await buildIncrementally(request);
  if (result.kind === 'full') throw new Error(`it was to be built in full: ${result.why}`);
  return result;
}

/** Files that were changed before this returns count as changed before a walk that begins now: a tick has passed. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 25));
}
