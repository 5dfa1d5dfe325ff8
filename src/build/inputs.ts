import fs from 'node:fs';
import type { Chroot } from '../chroot/chroot.ts';
import { kernelsReadZstd } from '../chroot/compression.ts';
import { inputsDigest } from '../chroot/inputs.ts';
import type { ChrootConfig, Config } from '../config/config.ts';
import { UserError } from '../errors.ts';
import type { Look, Tree } from '../tree/look.ts';
import { cleanupOf } from './cleanup/wanted.ts';
import { type Compression, chooseCompression } from './compression.ts';
import { type Selection, selectionOf } from './selection.ts';
import { compressionName } from './space.ts';

/** What of a chroot goes into its image, and how. */
export type Recipe = {
  selection: Selection;
  compression: Compression;
  kernels: readonly string[];
  /** Null: the chroot as it is; else it is cleaned first, see `cleanupOf`. */
  cleanup: string | null;
};

/** What an image would be made of now. `digest` is the one digest that decides whether a rebuild is due. */
export type Inputs = { digest: string; look: Look };

/** @throws UserError when the chroot is not there */
export function recipeOf(config: Config, chroot: Chroot, settings: ChrootConfig): Recipe {
  // it may have gone since somebody saw it
  if (!fs.existsSync(chroot.path)) throw new UserError(`cannot read ${chroot.path}: it does not exist`);
  const support = kernelsReadZstd(chroot.path);
  const { compression } = chooseCompression(settings.build, support);
  const cleanup = cleanupOf(config, settings.build, chroot);
  return { selection: selectionOf(config, settings, chroot), compression, kernels: support.kernels, cleanup };
}

/**
 * Looks at a chroot: walks its whole tree.
 * @param manifest `file`: where the walk's manifest is written; `readSince`: see `LookRequest`
 * @throws UserError when the chroot cannot be read
 */
export async function inputsOf(
  tree: Tree,
  chroot: Chroot,
  { selection, compression, cleanup }: Recipe,
  signal: AbortSignal,
  manifest?: { file: string; readSince: string },
): Promise<Inputs> {
  const walk = { root: chroot.path, ...selection, skipContents: [] };
  const request =
    manifest === undefined ? walk : { ...walk, manifestFile: manifest.file, readSince: manifest.readSince };
  return inputsOfLook(await tree.look(request, signal), { compression, cleanup });
}

/** The same, where somebody has looked already. */
export function inputsOfLook(look: Look, { compression, cleanup }: Pick<Recipe, 'compression' | 'cleanup'>): Inputs {
  const digest = inputsDigest({
    tree: look.digest,
    options: { compression: compressionName(compression), cleanup: cleanup ?? 'none' },
  });
  return { digest, look };
}
