import fs from 'node:fs';
import os from 'node:os';
import { hasCode, messageOf, UsageError } from '../errors.ts';

/**
 * The text of a config file; undefined where there is none.
 * @throws UsageError when it cannot be read, with what to do
 */
export function readConfigFile(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new UsageError(`cannot read ${file}: ${reason(error)}`, { cause: error });
  }
}

/** The names in a directory of config files, sorted; none where there is no directory. */
export function listConfigFiles(directory: string): string[] {
  try {
    return fs.readdirSync(directory).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw new UsageError(`cannot read ${directory}: ${reason(error)}`, { cause: error });
  }
}

function reason(error: unknown): string {
  if (hasCode(error, 'EACCES', 'EPERM')) return `user ${userName()} may not (run this as root)`;
  if (hasCode(error, 'EISDIR')) return 'it is a directory (a file belongs there)';
  if (hasCode(error, 'ENOTDIR')) return 'it is no directory (a directory of config files belongs there)';
  if (hasCode(error, 'ELOOP')) return 'it is a link that leads in a circle (put the file itself there)';
  return `${messageOf(error)} (remove or repair the file)`;
}

function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    // a user without a line in passwd(5)
    return String(process.getuid?.() ?? '');
  }
}
