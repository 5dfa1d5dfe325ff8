import { createHash } from 'node:crypto';

export type InputsParts = {
  /** Digest of the tree. */
  tree: string;
  /** Everything else that decides what the image is, by name. */
  options: Readonly<Record<string, string | number | boolean | readonly string[]>>;
};

/** The ONE digest (SHA-256, hex) that decides whether a rebuild is due. The order of the options does not matter. */
export function inputsDigest({ tree, options }: InputsParts): string {
  const sorted = Object.entries(options).sort(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([tree, sorted]))
    .digest('hex');
}
