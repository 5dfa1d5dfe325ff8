import fs from 'node:fs';
import { hasCode, messageOf, UserError } from '../../errors.ts';

/** A token is a line of its own, and no more than a header holds. */
const LIMIT = 4096;

/**
 * The token in the first line of a file.
 * @throws UserError when it is not there, empty, or everyone on this machine can read it
 */
export function readToken(file: string): string {
  let text: string;
  try {
    const stats = fs.statSync(file);
    if (!stats.isFile()) throw new UserError('it is not a regular file');
    if ((stats.mode & 0o004) !== 0) throw new UserError(`everyone can read it (chmod 600 ${file})`);
    if (stats.size > LIMIT) throw new UserError(`it is longer than ${LIMIT} bytes`);
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    const why = hasCode(error, 'ENOENT') ? 'it does not exist' : messageOf(error);
    throw new UserError(`cannot use the token in ${file}: ${why}`);
  }
  const [token = ''] = text.trim().split('\n', 1);
  if (/^[\x21-\x7e]+$/.test(token.trim())) return token.trim();
  throw new UserError(`cannot use the token in ${file}: its first line has none`);
}
