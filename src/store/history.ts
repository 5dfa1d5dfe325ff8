import fs from 'node:fs';
import * as z from 'zod';
import { hasCode } from '../errors.ts';
import { appendLine, lastLines } from './json-lines.ts';
import { historyDirectory, historyFile, type StorePaths } from './layout.ts';

const schema = z.object({
  /** ISO 8601, UTC. */
  at: z.string(),
  name: z.string(),
  event: z.enum(['published', 'rejected', 'reverted', 'void', 'failed', 'adopted', 'held', 'released', 'recovered']),
  /** The generation it is about. */
  id: z.string().nullable(),
  reason: z.string(),
  /** The whole thing in words. */
  message: z.string(),
  digest: z.exactOptional(z.string()),
  /** Bytes. */
  size: z.exactOptional(z.number()),
  /** Milliseconds by step. */
  took: z.exactOptional(z.record(z.string(), z.number())),
  /** Addresses of the clients that run on it now; never in the file, only where history is told. */
  clients: z.exactOptional(z.array(z.string())),
  /** Against the generation before; by package name with `:arch`. */
  packages: z.exactOptional(
    z.object({
      added: z.record(z.string(), z.string()),
      removed: z.record(z.string(), z.string()),
      upgraded: z.record(z.string(), z.object({ from: z.string(), to: z.string() })),
    }),
  ),
});

export { schema as historyEntry };

/** Something that happened to a chroot's images. */
export type HistoryEntry = z.infer<typeof schema>;

/** Enough for years of a chroot, and 1 MB at most as a rule. */
const LIMIT = 1000;

/** Adds an entry, durably. */
export function appendHistory(paths: StorePaths, entry: HistoryEntry): void {
  appendLine(historyFile(paths, entry.name), entry);
}

/**
 * The last entries of a chroot, or of all, newest last.
 * @param limit how many at most
 */
export function readHistory(paths: StorePaths, name?: string, limit = LIMIT): HistoryEntry[] {
  if (name !== undefined) return lastLines(historyFile(paths, name), limit, parse);
  const all = namesWithHistory(paths).flatMap((one) => lastLines(historyFile(paths, one), limit, parse));
  // stable: what is of one chroot and time keeps its order
  return all.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)).slice(-limit);
}

function parse(value: unknown): HistoryEntry | undefined {
  return schema.safeParse(value).data;
}

function namesWithHistory(paths: StorePaths): string[] {
  try {
    const files = fs.readdirSync(historyDirectory(paths));
    return files.filter((file) => file.endsWith('.jsonl')).map((file) => file.slice(0, -'.jsonl'.length));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}
