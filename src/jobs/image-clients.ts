import path from 'node:path';
import type { ClientStatus } from '../report/status.ts';
import { fileIdentity, imageClients } from '../serve/clients.ts';
import { readNbdServer } from '../serve/nbd/server.ts';
import type { Site } from '../steps/site.ts';
import { generationDirectory, imageFile, imageOf } from '../store/layout.ts';
import { generations, imageIds } from '../store/records.ts';

/**
 * The clients that run on the images of chroots, over nbd-server: of each the address and the generation, also of clients
 * on an image that has been removed meanwhile.
 * @returns by the chroot's name; those without clients are left out
 */
export function clientsByName({ config }: Site, names: readonly string[]): Map<string, ClientStatus[]> {
  const server = readNbdServer(config);
  const connected = server.kind === 'configured' ? imageClients(server.port) : [];
  const result = new Map<string, ClientStatus[]>();
  if (connected.length === 0) return result;
  for (const name of names) {
    const known = new Map<string, { id: string; builtAt: string }>();
    const records = new Map(generations(config.paths, name).generations.map((one) => [one.id, one]));
    for (const id of imageIds(config.paths, name)) {
      const identity = fileIdentity(imageOf(config.paths, name, id));
      const builtAt = records.get(id)?.builtAt ?? '';
      if (identity !== undefined) known.set(`${identity.dev}:${identity.ino}`, { id, builtAt });
    }
    const own = connected.flatMap(({ file, openedAs, address, since }): ClientStatus[] => {
      const image = known.get(`${file.dev}:${file.ino}`) ?? (isOf(config, name, openedAs) ? REMOVED : undefined);
      if (image === undefined) return [];
      return [{ image: image.id, builtAt: image.builtAt, address, since: new Date(since).toISOString() }];
    });
    if (own.length > 0) result.set(name, onceEach(own));
  }
  return result;
}

/** A client may have several connections to one image (nbd-client -C); the first one counts. */
function onceEach(connections: readonly ClientStatus[]): ClientStatus[] {
  const byClient = new Map<string, ClientStatus>();
  for (const one of connections) {
    const key = `${one.image} ${one.address}`;
    const known = byClient.get(key);
    if (known === undefined || one.since < known.since) byClient.set(key, one);
  }
  return [...byClient.values()];
}

const REMOVED = { id: 'removed', builtAt: '' };

/** By the name that it was opened by, which is all that is left of an image that was removed. */
function isOf({ paths }: Site['config'], name: string, openedAs: string | null): boolean {
  if (openedAs === null) return false;
  return openedAs === imageFile(paths, name) || path.dirname(openedAs) === generationDirectory(paths, name);
}
