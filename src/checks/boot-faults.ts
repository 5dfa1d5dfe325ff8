import { type BootProblem, describe, findBootProblems } from './boot-chain.ts';
import type { Fault } from './strictness.ts';

/** What would keep a client from booting an image, for a check whose strictness the site decides. */
export async function bootFaults(root: string, signal: AbortSignal): Promise<Fault[]> {
  // that there is no kernel at all is told where boot files would have to be published
  const problems = (await findBootProblems(root, signal)).filter(({ kind }) => kind !== 'no-kernel');
  return problems.map((problem) => ({ text: describe(problem), weight: weightOf(problem) }));
}

function weightOf({ severity }: BootProblem): Fault['weight'] {
  return severity === 'broken' ? 'bad' : 'doubtful';
}
