import { messageOf, RejectedError } from '../errors.ts';
import { readNbdServer } from '../serve/nbd/server.ts';
import { sitePrograms } from '../system/site-programs.ts';
import type { Check, Finding } from './check.ts';
import type { CheckTools, ImageSubject } from './image-checks.ts';
import { CannotCheckError } from './over-nbd/cannot-check.ts';
import { nbdServerIdentity } from './over-nbd/identity.ts';
import { LOOPBACK, type PrivateServer, startPrivateServer } from './over-nbd/private-server.ts';
import { programOnPath } from './over-nbd/programs.ts';
import { runSiteChecks } from './site-checks.ts';

/**
 * The site's own programs in `directory`, with the image mounted, and served over NBD where that can be. None where there
 * are no programs.
 */
export function siteCheck(subject: ImageSubject, { config, settings, image }: CheckTools, directory: string): Check[] {
  const programs = ['required.d', 'wanted.d'].map((one) => sitePrograms(`${directory}/${one}`));
  if (programs.every(({ names, skipped }) => names.length + skipped.length === 0)) return [];
  const run = async (signal: AbortSignal): Promise<Finding> => {
    const { name, file, servedAs, mountPoint } = subject;
    const root = await image.root();
    const served = await serve({
      file,
      servedAs,
      mountPoint,
      identity: nbdServerIdentity(readNbdServer(config)),
      signal,
    });
    try {
      const nbdUri =
        served.server === null ? null : `nbd://${LOOPBACK}:${served.server.port}/${served.server.exportName}`;
      const options = { directory, name, image: file, root, nbdUri, timeout: settings.timeout };
      const verdict = await runSiteChecks(options, signal);
      if (verdict.kind === 'rejected') throw new RejectedError(verdict.reason);
      const ran = verdict.checks.filter(({ kind }) => kind !== 'skipped').map(({ program }) => program);
      const warnings = [...verdict.warnings, ...served.warnings];
      return { message: ran.length === 0 ? 'none of the site ran' : `ran ${ran.join(', ')}`, warnings };
    } finally {
      await served.server?.close();
    }
  };
  // each program has its own limit
  return [{ name: 'site', run, limit: 'own' }];
}

type Served = { server: PrivateServer | null; warnings: string[] };

async function serve(options: Parameters<typeof startPrivateServer>[0]): Promise<Served> {
  if (programOnPath('nbd-server') === undefined) return { server: null, warnings: [] };
  try {
    return { server: await startPrivateServer(options), warnings: [] };
  } catch (error) {
    if (!(error instanceof CannotCheckError)) throw error;
    return { server: null, warnings: [`the site's checks have no NBD URI: ${messageOf(error)}`] };
  }
}
