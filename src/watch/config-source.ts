import fs from 'node:fs';
import path from 'node:path';
import type { Place } from './place.ts';
import { watchPlaces } from './places.ts';
import type { Source } from './source.ts';

/**
 * Watches files by their directories, so that it does not matter whether they are written, replaced, removed or not there
 * yet; of a directory among them, what is directly in it. A symlink is watched, and so is what it leads to. Directories
 * that come to be later are taken up within a minute.
 * @param files absolute
 * @param onChange told the file as it was given, or the changed file in a given directory
 */
export function watchFiles(
  files: readonly string[],
  onChange: (file: string) => void,
  onNotice: (text: string) => void,
): Promise<Source> {
  const find = (): Place[] => files.flatMap((file) => placesOf(file, onChange));
  return watchPlaces({ find, poll: 'auto', onNotice });
}

function placesOf(file: string, onChange: (file: string) => void): Place[] {
  const real = realPath(file);
  const locations = new Set([...locationOf(file), ...(real === undefined ? [] : [real])]);
  const places = [...locations].map((location): Place => {
    const { dir, base } = path.parse(location);
    const onEntry = (): void => onChange(file);
    return {
      label: `${file} at ${location}`,
      directory: dir,
      reach: 'entries',
      wants: (name) => name === base,
      onEntry,
    };
  });
  if (real === undefined || fs.statSync(real, { throwIfNoEntry: false })?.isDirectory() !== true) return places;
  const onEntry = (entry: string): void => onChange(path.join(file, entry));
  return [...places, { label: file, directory: real, reach: 'entries', wants: () => true, onEntry }];
}

/** Where the name itself is, the last part not followed; nothing while its directory is not there. */
function locationOf(file: string): string[] {
  const directory = realPath(path.dirname(file));
  return directory === undefined ? [] : [path.join(directory, path.basename(file))];
}

function realPath(file: string): string | undefined {
  try {
    return fs.realpathSync(file);
  } catch {
    return undefined;
  }
}
