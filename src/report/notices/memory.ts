import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { NOTICE_KINDS, type NoticeKind } from '../../config/notice-kinds.ts';
import { hasCode } from '../../errors.ts';
import { makeDirectory, writeDurably } from '../../system/durable.ts';
import { type Notice, tidings } from './notice.ts';

const schema = z.object({
  /** By name, then by kind: the state that was told of last. */
  told: z.record(z.string(), z.partialRecord(z.enum(NOTICE_KINDS), z.string())),
  /** Oldest first. */
  outbox: z.array(z.object({ receiver: z.string(), tidings })),
});

/** What has been told, and what is still on its way to whom. */
export type NoticeMemory = z.infer<typeof schema>;

/** What was remembered; nothing where the file is not there or makes no sense: at worst something is told twice. */
export function readNoticeMemory(file: string): NoticeMemory {
  const nothing = { told: {}, outbox: [] };
  try {
    return schema.safeParse(JSON.parse(fs.readFileSync(file, 'utf8'))).data ?? nothing;
  } catch (error) {
    if (error instanceof SyntaxError || hasCode(error, 'ENOENT')) return nothing;
    throw error;
  }
}

/** Durably. */
export function writeNoticeMemory(file: string, memory: NoticeMemory): void {
  makeDirectory(path.dirname(file));
  writeDurably(file, `${JSON.stringify(memory)}\n`, 0o600);
}

/** What "well again" ends. */
const TROUBLES: readonly NoticeKind[] = ['rejected', 'reverted', 'quarantined', 'stuck', 'disk-low'];

/**
 * What is told after this notice, or null when it says nothing new: its state was told of before, or all is well and was.
 */
export function toldAfter(told: NoticeMemory['told'], { kind, name, state }: Notice): NoticeMemory['told'] | null {
  const before = told[name] ?? {};
  if (kind === 'well-again') {
    if (!TROUBLES.some((trouble) => before[trouble] !== undefined)) return null;
    return { ...told, [name]: before.published === undefined ? {} : { published: before.published } };
  }
  if (before[kind] === state) return null;
  // inputs whose image was rejected or taken back are in quarantine since, which is no news
  if (kind === 'quarantined' && [before.rejected, before.reverted].includes(state)) return null;
  return { ...told, [name]: { ...before, [kind]: state } };
}
