import { RejectedError } from '../errors.ts';
import { readNbdServer } from '../serve/nbd/server.ts';
import { digestOf } from '../store/digest.ts';
import { type Check, type Finding, well } from './check.ts';
import { compareWithManifest } from './content.ts';
import type { CheckTools, ImageSubject } from './image-checks.ts';
import { nbdServerIdentity } from './over-nbd/identity.ts';
import { checkOverNbd, type LayerTimes } from './over-nbd.ts';

/**
 * The image read the way a client does it: over an nbd-server of our own, whole by its digest, and mounted and compared
 * with the manifest of its source; where that cannot be, the latter is done without NBD.
 * None where clients do not come by NBD, unless the site requires it.
 */
export function nbdCheck(subject: ImageSubject, { config, settings, tree, image }: CheckTools): Check[] {
  const server = readNbdServer(config);
  if (settings.nbd === 'off' || (settings.nbd === 'auto' && server.kind === 'absent')) return [];
  const run = async (signal: AbortSignal): Promise<Finding> => {
    const { file, servedAs, recorded, made, mountPoint } = subject;
    const result = await checkOverNbd(
      { file, ...(recorded ?? (await digestOf(file, signal))) },
      {
        server: nbdServerIdentity(server),
        servedAs,
        mountPoint,
        timeout: settings.timeout,
        signal,
        mounted: async (root, ended) => {
          if (made !== null) await compareWithManifest(tree, root, made.manifestFile, ended);
        },
      },
    );
    switch (result.kind) {
      case 'passed':
        return well(`a client reads and mounts it over NBD (${timesOf(result.took)})`);
      case 'failed':
        throw new RejectedError(result.why);
      case 'skipped':
        if (settings.nbd === 'required') throw new RejectedError(`${result.why} (check.nbd = "required")`);
        if (made !== null) await compareWithManifest(tree, await image.root(), made.manifestFile, signal);
        return { message: 'not looked at over NBD; it mounts and has what the chroot had', warnings: [result.why] };
    }
  };
  return [{ name: 'nbd', run, limit: 'own' }];
}

function timesOf(took: LayerTimes): string {
  return Object.entries(took)
    .map(([layer, time]) => `${layer} ${time} ms`)
    .join(', ');
}
