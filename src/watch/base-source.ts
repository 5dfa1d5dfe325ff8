import fs from 'node:fs';
import path from 'node:path';
import type { Place } from './place.ts';
import { watchPlaces } from './places.ts';
import type { Source } from './source.ts';

/**
 * Tells that a directory (or a symlink, which may lead to one) came into the base directory or left it, with one inotify
 * watch. A chroot that is being made has no `bin/true` at that moment: nothing here tells when it comes.
 * @param base absolute; where it does not exist yet, it is taken up within a minute of its making
 */
export function watchBase(base: string, onChange: () => void, onNotice: (text: string) => void): Promise<Source> {
  const onEntry = (name: string): void => {
    if (!isPlainFile(path.join(base, name))) onChange();
  };
  const find = (): Place[] => {
    if (!fs.existsSync(base)) return [];
    const wants = (name: string): boolean => name !== 'images' && !name.startsWith('.');
    return [{ label: 'base', directory: fs.realpathSync(base), reach: 'entries', wants, onEntry }];
  };
  return watchPlaces({ find, poll: 'auto', onNotice });
}

function isPlainFile(file: string): boolean {
  return fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() === true;
}
