import { CancelledError, messageOf, UserError } from '../errors.ts';
import { type Boot, readBoot, readModules } from '../serve/boot-files/boot.ts';
import type { Kernel } from '../serve/boot-files/kernels.ts';
import { planBootDirectory } from '../serve/boot-files/layout.ts';
import { initProblem } from './boot-chain/init.ts';
import { type InitrdLook, lookIntoInitrd } from './boot-chain/initrd.ts';
import type { InitrdMemory } from './boot-chain/initrd-memory.ts';
import { kernelProblems } from './boot-chain/kernel.ts';
import type { BootProblem } from './boot-chain/problem.ts';

export { type BootProblem, describe } from './boot-chain/problem.ts';

/**
 * Follows the way a client boots an image: its kernels, each with modules and an initrd that comes to a squashfs root over
 * the network, and init. Nothing is run; links are followed inside the image only, and nothing but regular files is
 * opened. Programs that unpack the initrd run confined.
 * @param root the image's root directory, mounted
 * @param memory of initrds that were looked into before
 * @returns by kernel, lowest version first
 * @throws CancelledError; an error with `code` as of node:fs when the image cannot be read
 */
export async function findBootProblems(
  root: string,
  signal?: AbortSignal,
  memory?: InitrdMemory,
): Promise<BootProblem[]> {
  const init = initProblem(root);
  return [
    ...(init === null ? [] : [{ severity: 'broken', kind: 'init', why: init } as const]),
    ...(await problemsOfKernels(root, signal, memory)),
  ];
}

async function problemsOfKernels(
  root: string,
  signal: AbortSignal | undefined,
  memory: InitrdMemory | undefined,
): Promise<BootProblem[]> {
  let boot: Boot;
  try {
    boot = await readBoot(root, signal);
  } catch (error) {
    if (!(error instanceof UserError) || error instanceof CancelledError) throw error;
    return [{ severity: 'broken', kind: 'boot', why: messageOf(error) }];
  }
  if (boot.kernels.length === 0) return [{ severity: 'doubtful', kind: 'no-kernel' }];
  const modules = readModules(root);
  const looks = new Map<string, Promise<InitrdLook>>();
  const problems: BootProblem[] = [];
  for (const kernel of boot.kernels) {
    const hasBetter = isReplaced(kernel, boot);
    for (const problem of await kernelProblems(kernel, boot, modules, look)) {
      problems.push(hasBetter ? { ...problem, severity: 'doubtful' } : problem);
    }
  }
  return problems;

  /** Kernels may share an initrd. */
  function look(file: string): Promise<InitrdLook> {
    const initrd = `boot/${file}`;
    const lookNow = (): Promise<InitrdLook> => lookIntoInitrd(root, initrd, signal);
    const found = looks.get(file) ?? memory?.recall(root, initrd, lookNow, signal) ?? lookNow();
    looks.set(file, found);
    return found;
  }
}

/** True for a kernel that clients do not get, since another one of its flavour is better. */
function isReplaced(kernel: Kernel, boot: Boot): boolean {
  const served = [...planBootDirectory(boot, { layout: 'both' }).kernels.values()];
  const sameFlavour = boot.kernels.filter((one) => one.flavour === kernel.flavour);
  return !served.includes(kernel.version) && sameFlavour.some((one) => served.includes(one.version));
}
