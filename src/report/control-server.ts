import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { hasCode, messageOf, UserError } from '../errors.ts';
import type { Control } from './control.ts';
import { answerRequest } from './control-routes.ts';
import { hasListener, isTooLong } from './control-socket.ts';

export type ControlServerOptions = {
  /** Told what no client is to blame for, in words. */
  onError: (text: string) => void;
  /** Milliseconds a client may take to send a request or to take an answer. */
  patience?: number;
};

const PATIENCE = 10_000;
/** How long answers that are ready may take to reach their clients when the server closes. */
const LAST_WORDS = 500;
const MOST_CLIENTS = 64;

/**
 * Answers clients over HTTP on a unix socket, which root and its group may use (0660). What was asked for goes on when
 * its client goes away. A socket that a dead daemon left is replaced.
 * @returns close: ends within a second, whatever clients do
 * @throws UserError when a daemon answers there already, or the path cannot be used
 */
export async function serveControl(
  socketPath: string,
  control: Control,
  { onError, patience = PATIENCE }: ControlServerOptions,
): Promise<{ close: () => Promise<void> }> {
  await makeWay(socketPath);
  const closing = new AbortController();
  const server = http.createServer({
    headersTimeout: patience,
    requestTimeout: patience,
    connectionsCheckingInterval: patience,
  });
  server.maxConnections = MOST_CLIENTS;
  server.on('request', (request, response) => {
    response.setHeader('connection', 'close');
    void answerRequest(control, { request, response, closing: closing.signal, onError }).then(() => {
      // an answer that nobody takes would stay in memory
      request.socket.setTimeout(patience, () => request.socket.destroy());
    });
  });
  await listen(server, socketPath);
  server.on('error', (error) => onError(`control socket: ${messageOf(error)}`));
  const { ino } = fs.lstatSync(socketPath);

  return {
    close: () =>
      new Promise((resolve) => {
        const late = setTimeout(() => server.closeAllConnections(), LAST_WORDS);
        server.close(() => {
          clearTimeout(late);
          resolve();
        });
        closing.abort();
        // another daemon may have come since
        if (fs.lstatSync(socketPath, { throwIfNoEntry: false })?.ino === ino) fs.rmSync(socketPath);
      }),
  };
}

async function makeWay(socketPath: string): Promise<void> {
  const cannot = `cannot listen on ${socketPath}`;
  if (isTooLong(socketPath)) throw new UserError(`${cannot}: the path is too long for a socket (use a shorter --root)`);
  fs.mkdirSync(path.dirname(socketPath), { recursive: true, mode: 0o755 });
  const found = fs.lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new UserError(`${cannot}: something else is there (remove it)`);
  if (await hasListener(socketPath)) throw new UserError(`${cannot}: a daemon answers there already`);
}

/** Bound under another name and renamed when it is ready: no client meets one with the wrong mode, or none. */
async function listen(server: http.Server, socketPath: string): Promise<void> {
  const temporary = `${socketPath}~`;
  fs.rmSync(temporary, { force: true });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(temporary, () => {
        server.off('error', reject);
        resolve();
      });
    });
    fs.chmodSync(temporary, 0o660);
    fs.renameSync(temporary, socketPath);
  } catch (error) {
    server.close();
    if (!hasCode(error, 'EACCES', 'EROFS', 'ENOENT')) throw error;
    throw new UserError(`cannot listen on ${socketPath}`, { cause: error });
  }
}
