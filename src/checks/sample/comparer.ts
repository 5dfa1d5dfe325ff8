import fs from 'node:fs';
import { messageOf, UserError } from '../../errors.ts';
import { type CompareRequest, type Comparison, compareContents } from './compare.ts';
import type { Share } from './selection.ts';

/** What this program is started for: one task as JSON on standard input, one reply as JSON on standard output. */
export type Task = { request: CompareRequest; share: Share };

/** Our own errors go over in words; all others end the process. */
export type Reply = { kind: 'done'; value: Comparison } | { kind: 'refused'; message: string };

fs.writeSync(1, JSON.stringify(replyTo(JSON.parse(fs.readFileSync(0, 'utf8')))));

// what contentsInProcesses gives is a Task: both are of one build
function replyTo({ request, share }: Task): Reply {
  try {
    return { kind: 'done', value: compareContents(request, share) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { kind: 'refused', message: messageOf(error) };
  }
}
