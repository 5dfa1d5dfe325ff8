import fs from 'node:fs';
import { messageOf, UsageError, UserError } from '../errors.ts';
import {
  type CompareImageRequest,
  type CompareWalkRequest,
  compareImage,
  compareWalk,
  type LookRequest,
  look,
} from './look.ts';

/** What this program is started for: one task as JSON on standard input, one reply as JSON on standard output. */
export type Task =
  | { kind: 'look'; request: LookRequest }
  | { kind: 'compareWalk'; request: CompareWalkRequest }
  | { kind: 'compareImage'; request: CompareImageRequest };

/** Our own errors go over by kind and words; all others end the process. */
export type Reply = { kind: 'done'; value: unknown } | { kind: 'refused'; error: 'user' | 'usage'; message: string };

fs.writeSync(1, JSON.stringify(replyTo(JSON.parse(fs.readFileSync(0, 'utf8')))));

// what treeInProcess gives is a Task: both are of one build
function replyTo(task: Task): Reply {
  try {
    return { kind: 'done', value: carryOut(task) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { kind: 'refused', error: error instanceof UsageError ? 'usage' : 'user', message: messageOf(error) };
  }
}

function carryOut(task: Task): unknown {
  switch (task.kind) {
    case 'look':
      return look(task.request);
    case 'compareWalk':
      return compareWalk(task.request);
    case 'compareImage':
      return compareImage(task.request);
  }
}
