import path from 'node:path';
import { RejectedError } from '../errors.ts';
import { readBoot } from '../serve/boot-files/boot.ts';
import { planBootDirectory } from '../serve/boot-files/layout.ts';
import { readNbdServer } from '../serve/nbd/server.ts';
import { type BootResult, bootInContainer } from './boot-container.ts';
import { bootInVm } from './boot-vm.ts';
import { type Check, type Finding, well } from './check.ts';
import type { CheckTools, ImageSubject } from './image-checks.ts';
import { nbdServerIdentity } from './over-nbd/identity.ts';
import { LOOPBACK, startPrivateServer } from './over-nbd/private-server.ts';

/** The image is booted, in a container or a virtual machine, where the site wants that. */
export function bootCheck(subject: ImageSubject, tools: CheckTools): Check[] {
  const { boot, bootAllow: allowed, timeout } = tools.settings;
  if (boot === 'off') return [];
  const run = async (signal: AbortSignal): Promise<Finding> => {
    const { file, mountPoint } = subject;
    const result =
      boot === 'container'
        ? await bootInContainer({ image: file, mountPoint, timeout, allowed }, signal)
        : await inVm(subject, tools, signal);
    if (result.kind === 'passed') return well(result.what);
    if (result.kind === 'failed') throw new RejectedError(result.why);
    return { message: 'not booted', warnings: [result.why] };
  };
  return [{ name: 'boot', run, limit: 'own' }];
}

async function inVm(
  { file, servedAs, mountPoint }: ImageSubject,
  tools: CheckTools,
  signal: AbortSignal,
): Promise<BootResult> {
  const { config, image, settings } = tools;
  const root = await image.root();
  const boot = await readBoot(root, signal);
  const { files } = planBootDirectory(boot, { layout: 'ltsp19' });
  const [kernel, initrd] = ['vmlinuz', 'initrd.img'].map((name) => files.find((one) => one.path === name)?.from);
  if (kernel === undefined || initrd === undefined) {
    return { kind: 'skipped', why: 'the image is not booted: it has no kernel with an initrd' };
  }
  // regular files below real directories of a mount that nobody can write to: no link leads elsewhere
  const paths = { kernel: path.join(root, 'boot', kernel), initrd: path.join(root, 'boot', initrd) };
  const identity = nbdServerIdentity(readNbdServer(config));
  const server = await startPrivateServer({ file, servedAs, identity, mountPoint, signal });
  try {
    const nbdUri = `nbd://${LOOPBACK}:${server.port}/${server.exportName}`;
    return await bootInVm({ ...paths, nbdUri, timeout: settings.timeout }, signal);
  } finally {
    await server.close();
  }
}
