import { messageOf, UserError } from '../../errors.ts';
import { type ImageFile, openImage } from '../../squashfs/image-file.ts';
import { type ManifestLines, readManifestLines } from '../../tree/manifest.ts';
import type { Compression } from '../compression.ts';
import { Doubt } from './doubt.ts';
import { formatProblem } from './format.ts';
import type { Recorded } from './proof.ts';

/** The generation to build upon. Its files are only ever read. */
export type FormerGeneration = Recorded & { image: string; manifest: string };

export type Former = { image: ImageFile; manifest: ManifestLines };

/**
 * Opens the former image with its manifest. What its bytes say of its contents is not proven by that, see `proveImage`.
 * @throws Doubt when it can't be built upon
 */
export function openFormer(generation: FormerGeneration | null, compression: Compression): Former {
  if (generation === null) throw new Doubt('there is no former image');
  const manifest = doubtful(() => readManifestLines(generation.manifest));
  if (manifest.image !== generation.digest) {
    throw new Doubt('the manifest of the former image was not made for it');
  }
  const image = doubtful(() => openImage(generation.image));
  try {
    const problem = doubtful(() => formatProblem(image, compression));
    if (problem !== null) throw new Doubt(problem);
    return { image, manifest };
  } catch (error) {
    image.close();
    throw error;
  }
}

function doubtful<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) throw new Doubt(messageOf(error), { cause: error });
    throw error;
  }
}
