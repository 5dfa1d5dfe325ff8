import { InitrdMemory } from './boot-chain/initrd-memory.ts';
import { type BootProblem, describe, findBootProblems } from './boot-chain.ts';
import type { Fault } from './strictness.ts';

/**
 * What would keep a client from booting an image, for a check whose strictness the site decides.
 * @param memory a directory for what was found in initrds before
 */
export async function bootFaults(memory: string, root: string, signal: AbortSignal): Promise<Fault[]> {
  const found = await findBootProblems(root, signal, new InitrdMemory(memory));
  // that there is no kernel at all is told where boot files would have to be published
  const problems = found.filter(({ kind }) => kind !== 'no-kernel');
  return problems.map((problem) => ({ text: describe(problem), weight: weightOf(problem) }));
}

function weightOf({ severity }: BootProblem): Fault['weight'] {
  return severity === 'broken' ? 'bad' : 'doubtful';
}
