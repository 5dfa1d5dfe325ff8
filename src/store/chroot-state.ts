import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { hasCode, messageOf } from '../errors.ts';
import { makeDirectory, writeDurably } from '../system/durable.ts';
import { chrootStateFile, type StorePaths } from './layout.ts';

export const chrootState = z.object({
  /** Inputs whose image failed a check, oldest first. `at`: ISO 8601. */
  quarantine: z.array(z.object({ inputs: z.string(), reason: z.string(), at: z.string() })),
  /** A person said stop; ISO 8601. Without `until` it does not end by itself. */
  hold: z.object({ since: z.string(), reason: z.string(), until: z.exactOptional(z.string()) }).nullable(),
  /** The digest of the inputs at the last whole look. `at`: ISO 8601. */
  looked: z.object({ inputs: z.string(), at: z.string() }).nullable(),
  /** A generation that passed its checks in quiet hours and is to be published after them. `at`: ISO 8601. */
  staged: z.exactOptional(z.object({ id: z.string(), inputs: z.string(), at: z.string() })),
});

/** What is to be remembered of a chroot, whatever images it has. */
export type ChrootState = z.infer<typeof chrootState>;

/** Inputs of long ago do not come back. */
const QUARANTINE_LIMIT = 50;

/**
 * What is remembered of a chroot; nothing, where there is no file. A file that makes no sense is set aside as
 * NAME.json.broken.
 * @param onProblem told in words of such a file
 */
export function readChrootState(
  paths: StorePaths,
  name: string,
  onProblem: (problem: string) => void = () => {},
): ChrootState {
  const file = chrootStateFile(paths, name);
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return { quarantine: [], hold: null, looked: null };
    throw error;
  }
  try {
    return chrootState.parse(JSON.parse(text));
  } catch {
    onProblem(setBrokenAside(file, name));
    return { quarantine: [], hold: null, looked: null };
  }
}

/** Changes what is remembered of a chroot, durably. Of inputs that are in quarantine twice the later entry stays. */
export function updateChrootState(
  paths: StorePaths,
  name: string,
  change: (state: ChrootState) => ChrootState,
  onProblem?: (problem: string) => void,
): ChrootState {
  const changed = change(readChrootState(paths, name, onProblem));
  const byInputs = new Map<string, ChrootState['quarantine'][number]>();
  for (const entry of changed.quarantine) {
    byInputs.delete(entry.inputs);
    byInputs.set(entry.inputs, entry);
  }
  const state = { ...changed, quarantine: [...byInputs.values()].slice(-QUARANTINE_LIMIT) };
  const file = chrootStateFile(paths, name);
  makeDirectory(path.dirname(file));
  writeDurably(file, `${JSON.stringify(state, null, 1)}\n`, 0o600, 'state');
  return state;
}

function setBrokenAside(file: string, name: string): string {
  const problem = `cannot read what is remembered of ${name} (quarantine, hold): ${file} is damaged`;
  try {
    fs.renameSync(file, `${file}.broken`);
    return `${problem}; it is kept as ${file}.broken`;
  } catch (error) {
    return `${problem} and cannot be moved away: ${messageOf(error)}`;
  }
}
