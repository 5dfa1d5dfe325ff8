import path from 'node:path';
import type { ChrootConfig, Config } from '../config/config.ts';
import { initrdDirectory } from '../store/layout.ts';
import type { Tree } from '../tree/look.ts';
import { bootCheck } from './boot.ts';
import { bootFaults } from './boot-faults.ts';
import type { Check } from './check.ts';
import { contentCheck } from './content.ts';
import { contentsCheck } from './contents.ts';
import { diskDigestCheck } from './dropped-cache.ts';
import type { MountOnce } from './mount-once.ts';
import { nbdCheck } from './nbd.ts';
import { ofReadableImage } from './readable.ts';
import { requiredCheck } from './required.ts';
import type { Contents } from './sample.ts';
import { secretFaults } from './secrets.ts';
import { siteCheck } from './site.ts';
import { strictCheck } from './strictness.ts';

/** An image file that is to be checked, and all that is known of it. */
export type ImageSubject = {
  /** The chroot's name. */
  name: string;
  /** Absolute. */
  file: string;
  /** The path by which clients get it, or will; it need not be there. */
  servedAs: string;
  /** What was recorded when it was made; null for an image of which nothing is known. */
  recorded: { digest: string; size: number } | null;
  /** What its tree was, and the tree itself where that is still the same; null where nobody knows. */
  made: { manifestFile: string; source: string | null; written: readonly string[] } | null;
  /** An empty directory; only the checks see what is mounted there. */
  mountPoint: string;
};

/** What checks work with beside the image. */
export type CheckTools = {
  config: Config;
  settings: ChrootConfig['check'];
  tree: Tree;
  contents: Contents;
  /** Its signal ends the mount. */
  image: MountOnce;
};

/**
 * What an image has to pass before clients get it, run beside each other. To add a check, write it in a file of its own
 * and name it here; what has nothing to look at is left out.
 */
export function imageChecks(subject: ImageSubject, tools: CheckTools): Check[] {
  const { file, recorded, made } = subject;
  const { settings, tree, contents, image, config } = tools;
  const { required, secrets, bootChain, content: extent } = settings;
  const bootFaultsIn = bootFaults.bind(null, initrdDirectory(config.paths));
  const digest = recorded === null ? [] : [diskDigestCheck(file, recorded.digest)];
  const nbd = nbdCheck(subject, tools);
  // the mount over NBD is compared with the manifest, too
  const content =
    made === null || nbd.length > 0 ? [] : [contentCheck({ image, manifestFile: made.manifestFile, tree })];
  const bytes =
    made === null || made.source === null
      ? []
      : [contentsCheck({ image, ...made, source: made.source, extent, contents })];
  const strict = [
    ...strictCheck('secrets', secrets, image, secretFaults, 'no secrets in well-known places'),
    ...strictCheck('boot chain', bootChain, image, bootFaultsIn, 'kernel, modules, initrd and init fit each other'),
  ];
  return [
    ...digest,
    ofReadableImage(requiredCheck(image, required)),
    ...content,
    ...bytes,
    ...strict.map(ofReadableImage),
    ...nbd,
    ...siteCheck(subject, tools, path.join(config.root, '/etc/ltsp/autoimage.d/check')),
    ...bootCheck(subject, tools),
  ];
}
