import { hasSpace } from '../build/space.ts';
import type { ChrootConfig } from '../config/config.ts';
import { servedByNfs } from '../serve/image-access.ts';
import { imagesInUse } from '../serve/open-images.ts';
import { generationDirectory, imageOf } from '../store/layout.ts';
import { makeRoom, prune } from '../store/retention.ts';
import type { Site } from './site.ts';

/** Removes the generations that `keep` lets go. What clients or programs have open stays. */
export function pruneGenerations(site: Site, name: string, { generations: keep, grace }: ChrootConfig['keep']): void {
  const retention = { keep, grace, now: site.now() };
  tell(site, name, prune(site.config.paths, name, retention, inUseOf(site, name)));
}

/**
 * Removes what nobody uses, oldest first, until so many bytes are free. Current and previous image stay, and all within
 * the grace time where NFS serves: its clients hold nothing that can be seen here.
 */
export function makeRoomFor(site: Site, name: string, keep: ChrootConfig['keep'], needed: number): void {
  const { config } = site;
  const enough = (): boolean => hasSpace(config.paths.images, needed);
  if (enough()) return;
  const retention = { keep: 2, grace: servedByNfs(config) ? keep.grace : 0, now: site.now() };
  tell(site, name, makeRoom(config.paths, name, retention, inUseOf(site, name), enough));
}

function inUseOf({ config }: Site, name: string): (ids: string[]) => ReadonlySet<string> {
  return (ids) => {
    const used = imagesInUse(ids.map((id) => imageOf(config.paths, name, id)));
    return new Set(ids.filter((id) => used.has(imageOf(config.paths, name, id))));
  };
}

function tell({ config, log }: Site, name: string, removed: readonly string[]): void {
  const directory = generationDirectory(config.paths, name);
  for (const id of removed) {
    log.info('image.pruned', { name, id }, `${name}: removed generation ${id} from ${directory}`);
  }
}
