import { messageOf, RejectedError } from '../errors.ts';
import type { CheckResult } from '../store/generation.ts';
import { together } from '../system/together.ts';

/**
 * One check of an image. `run` returns what it saw, in words, and throws RejectedError with what is wrong. Any other
 * error means that the check itself could not be made, which says nothing about the image. To add one, write it in a file
 * of its own and name it in `candidateChecks` (steps/check-candidate.ts).
 */
export type Check = {
  name: string;
  run: (signal: AbortSignal) => Promise<string>;
};

/** All checks passed, or some found the image bad. */
export type Verdict =
  | { kind: 'passed'; results: CheckResult[] }
  | { kind: 'rejected'; results: CheckResult[]; reason: string };

/**
 * Runs checks beside each other, each with a limit of `timeout` milliseconds.
 * @throws CancelledError when `signal` ends them; the error of a check that could not be made
 */
export async function runChecks(checks: readonly Check[], timeout: number, signal: AbortSignal): Promise<Verdict> {
  const tasks = checks.map((check) => (either: AbortSignal) => runCheck(check, timeout, either));
  const results = await together<CheckResult[]>(signal, tasks);
  const failed = results.filter((result) => !result.passed);
  if (failed.length === 0) return { kind: 'passed', results };
  return { kind: 'rejected', results, reason: failed.map((result) => result.message).join('; ') };
}

async function runCheck(check: Check, timeout: number, signal: AbortSignal): Promise<CheckResult> {
  const started = performance.now();
  const limit = AbortSignal.timeout(timeout);
  const took = (): number => Math.round(performance.now() - started);
  try {
    const message = await check.run(AbortSignal.any([signal, limit]));
    return { name: check.name, passed: true, message, took: took() };
  } catch (error) {
    if (error instanceof RejectedError) {
      return { name: check.name, passed: false, message: messageOf(error), took: took() };
    }
    if (limit.aborted && !signal.aborted) {
      const message = `${check.name}: no result after ${timeout / 1000} s (check.timeout)`;
      return { name: check.name, passed: false, message, took: took() };
    }
    throw error;
  }
}
