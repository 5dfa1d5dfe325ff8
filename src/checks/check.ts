import { messageOf, RejectedError } from '../errors.ts';
import type { CheckResult } from '../store/generation.ts';
import { together } from '../system/together.ts';

/** What a check saw in an image that passes, in words; `warnings` is what a person should know all the same, a line each. */
export type Finding = { message: string; warnings: readonly string[] };

/**
 * One check of an image. `run` throws RejectedError with what is wrong with the image. Any other error means that the
 * check itself could not be made, which says nothing about the image. To add one, write it in a file of its own and name
 * it in `imageChecks` (image-checks.ts).
 */
export type Check = {
  name: string;
  run: (signal: AbortSignal) => Promise<Finding>;
  /** `own`: it ends by itself in bounded time, and has a message of its own for what took too long. */
  limit?: 'own';
};

/** All checks passed, or some found the image bad. */
export type Verdict =
  | { kind: 'passed'; results: CheckResult[] }
  | { kind: 'rejected'; results: CheckResult[]; reason: string };

/** There is nothing to be said beyond that. */
export function well(message: string): Finding {
  return { message, warnings: [] };
}

/**
 * Runs checks beside each other, each with a limit of `timeout` milliseconds.
 * @throws CancelledError when `signal` ends them; the error of a check that could not be made
 */
export async function runChecks(checks: readonly Check[], timeout: number, signal: AbortSignal): Promise<Verdict> {
  const tasks = checks.map((check) => (either: AbortSignal) => runCheck(check, timeout, either));
  const results = await together<CheckResult[]>(signal, tasks);
  const failed = results.filter((result) => !result.passed);
  if (failed.length === 0) return { kind: 'passed', results };
  // an image that does not mount fails several of them, with the same words
  const reasons = new Set(failed.map((result) => result.message));
  return { kind: 'rejected', results, reason: [...reasons].join('; ') };
}

async function runCheck(check: Check, timeout: number, signal: AbortSignal): Promise<CheckResult> {
  const { name } = check;
  const started = performance.now();
  const limit = check.limit === 'own' ? new AbortController().signal : AbortSignal.timeout(timeout);
  const took = (): number => Math.round(performance.now() - started);
  try {
    const { message, warnings } = await check.run(AbortSignal.any([signal, limit]));
    return { name, passed: true, message, warnings: [...warnings], took: took() };
  } catch (error) {
    if (error instanceof RejectedError) {
      return { name, passed: false, message: messageOf(error), warnings: [], took: took() };
    }
    if (limit.aborted && !signal.aborted) {
      const message = `${name}: no result after ${timeout / 1000} s (check.timeout)`;
      return { name, passed: false, message, warnings: [], took: took() };
    }
    throw error;
  }
}
