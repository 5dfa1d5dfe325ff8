import type { ImageTree } from '../../squashfs/tree.ts';
import { displayEntry } from '../../tree/display.ts';
import type { Entry } from '../../tree/entry.ts';
import { Doubt } from './doubt.ts';
import type { Kept } from './plan.ts';

/**
 * Finds what is kept in the former image. (It has all that its manifest has, but may have had more and fewer of the
 * entries that change by themselves.)
 * @param kept in the order of a walk, which is the image's as well
 * @returns by index of the new tree, the index in the image; -1 for what is not kept
 * @throws Doubt when something is not there, or is not what the manifest says
 */
export function locate(kept: readonly Kept[], entries: readonly Entry[], tree: ImageTree): Int32Array {
  const places = new Int32Array(entries.length).fill(-1);
  const paths = tree.paths();
  let at = -1;
  let path: string | undefined;
  for (const one of kept) {
    while (path !== one.path) {
      const next = paths.next();
      if (next.done === true) throw new Doubt(`the former image has no ${displayEntry(one.path)}`);
      path = next.value;
      at++;
    }
    const entry = entries[one.index];
    const size = tree.fileSize(at);
    if (entry === undefined || (entry.type === 'file' ? size !== entry.size : size !== null)) {
      throw new Doubt(`the former image has another ${displayEntry(one.path)} than its manifest`);
    }
    places[one.index] = at;
  }
  return places;
}
