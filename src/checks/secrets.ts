import { printable } from '../report/printable.ts';
import { accountRules } from './secrets/accounts.ts';
import { homesIn } from './secrets/homes.ts';
import { ImageFiles } from './secrets/image-files.ts';
import { keyRules } from './secrets/keys.ts';
import { machineRules } from './secrets/machine.ts';
import { networkRules } from './secrets/networks.ts';
import { placesOf, type Rule, secretsIn } from './secrets/rule.ts';
import { tokenRules } from './secrets/tokens.ts';
import type { Fault } from './strictness.ts';

/** A file of an image that holds a secret: its path, relative to the image's root, and what it is, in words. */
export type Finding = { path: string; what: string };

/** Each file of rules is one sort of secret. To add a place, add a line to one of them. */
const RULES: readonly Rule[] = [...accountRules, ...keyRules, ...networkRules, ...tokenRules, ...machineRules];

/**
 * What is in an image and should not be in the hands of everyone who can boot it: password hashes, private keys, Wi-Fi
 * passwords, tokens, what makes a machine known. Looks at well-known places alone; links are followed inside the image
 * only, nothing but regular files is opened, and of each at most 256 KiB is read.
 * @param root the image's root directory, mounted
 * @throws an error with `code` as of node:fs when the image cannot be read
 */
export function findSecrets(root: string): Finding[] {
  const files = new ImageFiles(root);
  const homes = homesIn(files);
  const found = new Map<string, Finding>();
  for (const rule of RULES) {
    for (const path of placesOf(rule, files, homes)) {
      const file = files.read(path);
      if (file === null) continue;
      for (const what of secretsIn(rule, file.text)) {
        // one line per file, also where links lead to it or a later rule is less exact; accounts are a line each
        const key = 'find' in rule ? `${file.inode}:${what}` : file.inode;
        if (!found.has(key)) found.set(key, { path, what });
      }
    }
  }
  return [...found.values()].sort((one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0));
}

/** The same, for a check whose strictness the site decides. */
export async function secretFaults(root: string): Promise<Fault[]> {
  return findSecrets(root).map((finding) => ({ text: describe(finding), weight: 'bad' }));
}

/** One line for the log or the terminal, without the secret itself. */
export function describe({ path, what }: Finding): string {
  return printable(`${path}: ${what}`);
}
