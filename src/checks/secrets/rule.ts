import type { ImageFiles } from './image-files.ts';

/**
 * Where a secret may stand and how it is known.
 * - `places`: paths relative to the root; `~/` is each home directory, `*` any characters in one part
 * - `what`: what the file holds, in words
 * - `sign`: matches the text that makes it one; `content`: any content does; a function gives what it found itself
 */
export type Rule =
  | { places: readonly string[]; what: string; sign: RegExp | 'content' }
  | { places: readonly string[]; find: (text: string) => string[] };

/** What of a file's text is a secret by this rule, in words. */
export function secretsIn(rule: Rule, text: string): string[] {
  if ('find' in rule) return rule.find(text);
  return rule.sign === 'content' || rule.sign.test(text) ? [rule.what] : [];
}

/** The paths of the image that a rule is about; those without `*` may not be there. */
export function placesOf(rule: Rule, files: ImageFiles, homes: readonly string[]): string[] {
  return rule.places.flatMap((place) => {
    if (!place.startsWith('~/')) return expanded(files, '', place.split('/'));
    // listing a home once is cheaper than opening what it has not
    const [first = '', ...rest] = place.slice(2).split('/');
    const starts = homes.flatMap((home) => matching(files, home, first));
    return starts.flatMap((start) => expanded(files, start, rest));
  });
}

function expanded(files: ImageFiles, directory: string, parts: readonly string[]): string[] {
  const [first, ...rest] = parts;
  if (first === undefined) return [directory];
  const next = first.includes('*') ? matching(files, directory, first) : [joined(directory, first)];
  return next.flatMap((path) => expanded(files, path, rest));
}

function matching(files: ImageFiles, directory: string, part: string): string[] {
  const escaped = part.split('*').map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`^${escaped.join('.*')}$`, 's');
  return files
    .names(directory)
    .filter((name) => pattern.test(name))
    .map((name) => joined(directory, name));
}

function joined(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
