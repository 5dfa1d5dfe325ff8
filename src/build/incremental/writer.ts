import fs from 'node:fs';
import { messageOf, UsageError, UserError, VoidError } from '../../errors.ts';
import { buildIncrementally, type IncrementalRequest, type IncrementalResult } from '../incremental.ts';

/** Our own errors go over by kind and words; all others end the process. */
export type Reply =
  | { kind: 'done'; value: IncrementalResult }
  | { kind: 'refused'; error: 'user' | 'usage' | 'void'; message: string };

// What this program is started for: one request as JSON on standard input, one reply as JSON on standard output.
fs.writeFileSync(1, JSON.stringify(await replyTo(JSON.parse(fs.readFileSync(0, 'utf8')))));

// what incrementalInProcess gives is a request: both are of one build
async function replyTo(request: IncrementalRequest): Promise<Reply> {
  try {
    return { kind: 'done', value: await buildIncrementally(request) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { kind: 'refused', error: kindOf(error), message: messageOf(error) };
  }
}

function kindOf(error: UserError): 'user' | 'usage' | 'void' {
  if (error instanceof VoidError) return 'void';
  return error instanceof UsageError ? 'usage' : 'user';
}
