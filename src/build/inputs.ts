import type { Chroot } from '../chroot/chroot.ts';
import { kernelsReadZstd } from '../chroot/compression.ts';
import { inputsDigest } from '../chroot/inputs.ts';
import type { ChrootConfig, Config } from '../config/config.ts';
import type { Look, Tree } from '../tree/look.ts';
import { type Compression, chooseCompression } from './compression.ts';
import { type Selection, selectionOf } from './selection.ts';
import { compressionName } from './space.ts';

/** What an image would be made of now. `digest` is the one digest that decides whether a rebuild is due. */
export type Inputs = {
  digest: string;
  look: Look;
  selection: Selection;
  compression: Compression;
  kernels: readonly string[];
};

/**
 * Looks at a chroot: walks its whole tree.
 * @param manifestFile where the walk's manifest is written, or null
 * @throws UserError when the chroot cannot be read
 */
export async function inputsOf(
  context: { config: Config; tree: Tree },
  chroot: Chroot,
  settings: ChrootConfig,
  manifestFile: string | null,
  signal: AbortSignal,
): Promise<Inputs> {
  const selection = selectionOf(context.config, settings, chroot);
  const support = kernelsReadZstd(chroot.path);
  const { compression } = chooseCompression(settings.build, support);
  const walk = { root: chroot.path, ...selection, skipContents: [] };
  const look = await context.tree.look(manifestFile === null ? walk : { ...walk, manifestFile }, signal);
  const digest = inputsDigest({ tree: look.digest, options: { compression: compressionName(compression) } });
  return { digest, look, selection, compression, kernels: support.kernels };
}
