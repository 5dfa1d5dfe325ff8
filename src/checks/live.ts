import { setTimeout as delay } from 'node:timers/promises';
import { RejectedError } from '../errors.ts';
import type { LiveExport, LiveLook } from '../serve/live-export.ts';
import { NbdError } from '../serve/nbd/nbd-error.ts';
import { type Check, type Finding, well } from './check.ts';
import { digestCheck } from './digest.ts';
import { type RecordedImage, readWhole, troubleInWords } from './over-nbd/read-whole.ts';

export type LiveCheckOptions = {
  /** The published file and what was recorded of it. */
  image: RecordedImage;
  /** Where clients get it; null: only by the file. */
  live: LiveExport | null;
  /** How that looked before the image was published. */
  before: LiveLook;
  /** `strict`: an export that did not answer before either is a reason to take the image back. */
  strictness: 'on' | 'strict';
};

/** An nbd-server that is being restarted is back after that. */
const TRIES = 3;
const BETWEEN_TRIES = 500;

/** Milliseconds that each answer may take. */
const ANSWER = 10_000;

/**
 * A client that connects now gets the bytes that were checked. An export that answered before the image was published and
 * does not any more is our doing, and a reason to take the image back; one that did not answer before is none.
 */
export function liveCheck({ image, live, before, strictness }: LiveCheckOptions): Check {
  const run = async (signal: AbortSignal): Promise<Finding> => {
    const file = digestCheck(image.file, image.digest);
    if (live === null) return file.run(signal);
    // what did not answer before is not waited for
    const tries = before.kind === 'served' ? TRIES : 1;
    const trouble = await troubleWith(live, image, tries, signal);
    if (trouble === null) return well('a new client gets the checked bytes over NBD');
    // whatever nbd-server does, the file must be right
    await file.run(signal);
    const what = `clients cannot get it from the export ${live.name}: ${troubleInWords(trouble)}`;
    if (before.kind === 'served') throw new RejectedError(`${what}; before it was published they could`);
    if (strictness === 'strict') throw new RejectedError(`${what} (check.live = "strict")`);
    // of an export that is new, whoever made it has told how nbd-server took it
    const warnings = before.kind === 'no export' ? [] : [`${what}; that was so before it was published, too`];
    return { message: 'the published file is what was checked; its export does not answer', warnings };
  };
  return { name: 'live', run };
}

/** Null when the export gave the recorded bytes. Silence is asked again, wrong bytes are not. */
async function troubleWith(
  live: LiveExport,
  image: RecordedImage,
  most: number,
  signal: AbortSignal,
): Promise<NbdError | null> {
  for (let tries = 1; ; tries++) {
    try {
      await readWhole(live.address, live.name, image, { timeout: ANSWER, signal });
      return null;
    } catch (error) {
      if (!(error instanceof NbdError) || error.trouble === 'stopped') throw error;
      if (tries === most) return error;
      await delay(BETWEEN_TRIES, undefined, { signal });
    }
  }
}
