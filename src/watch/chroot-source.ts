import path from 'node:path';
import type { Cause } from '../decide/event.ts';
import { findInside, relativeInside } from './inside.ts';
import { PACKAGE_FILES } from './package-files.ts';
import type { Place } from './place.ts';
import { watchPlaces } from './places.ts';
import type { Source } from './source.ts';

export type ChrootSourceOptions = {
  /** The chroot; absolute. */
  path: string;
  /** `watch.paths`, relative to it. */
  extra: readonly string[];
  poll: 'auto' | 'on' | 'off';
  onChange: (cause: Cause) => void;
  onNotice: (text: string) => void;
};

/**
 * Watches the files of dpkg and apt by their directories (three inotify watches), and the extra paths: a file, or one that
 * is not there yet, by its directory, a directory with all that is below it (one watch for each directory). What comes
 * to be later, such as dpkg's directory in a chroot that is being made, is taken up within a minute.
 */
export function watchChroot(options: ChrootSourceOptions): Promise<Source> {
  const { poll, onNotice } = options;
  const told = new Set<string>();
  const tellOnce = (text: string): void => {
    if (told.has(text)) return;
    told.add(text);
    onNotice(text);
  };
  return watchPlaces({
    find: () => [...packagePlaces(options, tellOnce), ...extraPlaces(options, tellOnce)],
    poll,
    onNotice,
  });
}

type Tell = (text: string) => void;

function packagePlaces({ path: chroot, onChange }: ChrootSourceOptions, tell: Tell): Place[] {
  return PACKAGE_FILES.flatMap(({ directory, names }): Place[] => {
    const found = findDirectory(chroot, directory, tell);
    if (found === undefined) return [];
    const onEntry = (entry: string): void => onChange({ kind: 'packages', path: path.join(directory, entry) });
    return [{ label: directory, directory: found, reach: 'entries', wants: (name) => names.includes(name), onEntry }];
  });
}

function extraPlaces({ path: chroot, extra, onChange }: ChrootSourceOptions, tell: Tell): Place[] {
  return [...new Set(extra.map(relativeInside))].flatMap((wanted): Place[] => {
    const found = findInside(chroot, wanted);
    if (found.kind === 'nowhere') tell(nowhere(chroot, wanted, found.why));
    if (found.kind === 'directory') {
      const onEntry = (entry: string): void => onChange({ kind: 'path', path: path.join(wanted, entry) });
      return [{ label: wanted, directory: found.path, reach: 'tree', wants: () => true, onEntry }];
    }
    const [parent, name] = found.kind === 'other' ? partsOf(found.path) : [undefined, path.basename(wanted)];
    const directory = parent ?? findDirectory(chroot, path.dirname(wanted), tell);
    if (directory === undefined) return [];
    const onEntry = (): void => onChange({ kind: 'path', path: wanted });
    return [{ label: wanted, directory, reach: 'entries', wants: (entry) => entry === name, onEntry }];
  });
}

function findDirectory(chroot: string, directory: string, tell: Tell): string | undefined {
  const found = findInside(chroot, directory);
  if (found.kind === 'nowhere') tell(nowhere(chroot, directory, found.why));
  return found.kind === 'directory' ? found.path : undefined;
}

function nowhere(chroot: string, file: string, why: string): string {
  return `cannot watch ${path.join(chroot, file)}: ${why}`;
}

function partsOf(file: string): [string, string] {
  return [path.dirname(file), path.basename(file)];
}
