import type { Check } from '../checks/check.ts';
import { contentCheck } from '../checks/content.ts';
import { digestCheck } from '../checks/digest.ts';
import type { MountOnce } from '../checks/mount-once.ts';
import { describe, findSecrets } from '../checks/secrets.ts';
import { strictCheck } from '../checks/strictness.ts';
import { candidateOf as candidateFile, manifestOf } from '../store/layout.ts';
import { candidateOf, type RebuildJob } from './site.ts';

/** What a candidate has to pass, run beside each other on one mount. Deeper checks find their place here. */
export function candidateChecks(job: RebuildJob, image: MountOnce): Check[] {
  const { paths } = job.config;
  const { id, name, digest } = candidateOf(job);
  const { required, secrets } = job.settings.check;
  return [
    digestCheck(candidateFile(paths, name, id), digest),
    contentCheck({ image, manifestFile: manifestOf(paths, name, id), required, tree: job.tree }),
    ...strictCheck(
      ...(['secrets', secrets, image] as const),
      async (root) => findSecrets(root).map(describe),
      'no secrets in well-known places',
    ),
  ];
}
