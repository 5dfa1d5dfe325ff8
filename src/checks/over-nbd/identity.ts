import fs from 'node:fs';
import type { NbdServer } from '../../serve/nbd/server.ts';

/** User and group, by name, that an nbd-server becomes (nbd-server(5)); null: it stays what it was started as. */
export type NbdServerIdentity = { user: string | null; group: string | null };

/**
 * Whom the private server has to be so that it may read exactly what the real one may. Where the real one's config says
 * neither user nor group it is the user that Debian's package makes, without that one nobody.
 * @param passwd passwd(5)
 */
export function nbdServerIdentity(server: NbdServer, passwd = '/etc/passwd'): NbdServerIdentity {
  const { user, group } = server.kind === 'configured' ? server : { user: null, group: null };
  if (user !== null || group !== null) return { user, group };
  return /^nbd:/m.test(fs.readFileSync(passwd, 'utf8'))
    ? { user: 'nbd', group: 'nbd' }
    : { user: 'nobody', group: 'nogroup' };
}
