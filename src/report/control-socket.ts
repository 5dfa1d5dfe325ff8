import net from 'node:net';
import { hasCode } from '../errors.ts';

/** sockaddr_un has 108 bytes with the final NUL (unix(7)); the server binds under a name one longer. */
const LONGEST = 106;

/** Whether no socket can have this path. Node would cut it off without a word. */
export function isTooLong(socketPath: string): boolean {
  return Buffer.byteLength(socketPath) > LONGEST;
}

/**
 * Whether somebody listens on a unix socket.
 * @throws an error with `code` when that can't be found out, for example EACCES
 */
export function hasListener(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      if (hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ENOTDIR')) resolve(false);
      else reject(error);
    });
  });
}
