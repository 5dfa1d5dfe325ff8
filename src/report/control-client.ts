import http from 'node:http';
import * as z from 'zod';
import { hasCode, UsageError, UserError } from '../errors.ts';
import { historyEntry } from '../store/history.ts';
import { type BuildRequest, type Control, type Outcome, outcome, type Progress, progress } from './control.ts';
import { hasListener, isTooLong } from './control-socket.ts';
import { statusSchema } from './status.ts';

const failure = z.object({ error: z.string(), kind: z.enum(['user', 'usage']) });
const buildLine = z.union([z.object({ outcomes: z.array(outcome) }), z.object({ progress }), failure]);

/** Milliseconds until a daemon that says nothing counts as hanging, for what it can answer at once. */
const AT_ONCE = 30_000;

type Asking = { body?: object; timeout?: number; signal?: AbortSignal | undefined };

/**
 * The daemon behind a control socket, or undefined when none is running. Its methods throw UserError or UsageError with
 * the daemon's own words.
 * @throws UserError when this user may not talk to it
 */
export async function connectControl(socketPath: string): Promise<Control | undefined> {
  if (isTooLong(socketPath)) return undefined;
  try {
    if (!(await hasListener(socketPath))) return undefined;
  } catch (error) {
    throw inWords(error, socketPath);
  }
  const get = (path: string): Promise<unknown> => ask(socketPath, 'GET', path, { timeout: AT_ONCE });
  const post = (path: string, body: object): Promise<unknown> => ask(socketPath, 'POST', path, { body });
  return {
    status: async () => understood(statusSchema, await get('/status')),
    history: async (name) => {
      const query = name === undefined ? '' : `?${new URLSearchParams({ name })}`;
      return understood(z.array(historyEntry), await get(`/history${query}`));
    },
    build: (request, onProgress, signal) => build(socketPath, request, onProgress, signal),
    revert: async (request) => understood(outcome, await post('/revert', request)),
    hold: async (request) => understood(outcome, await post('/hold', request)),
    release: async (name) => understood(outcome, await post('/release', { name })),
  };
}

async function ask(socketPath: string, method: string, path: string, asking: Asking): Promise<unknown> {
  try {
    const response = await request(socketPath, method, path, asking);
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    const answer = parseJson(text);
    if (response.statusCode !== 200) throw errorOf(understood(failure, answer));
    return answer;
  } catch (error) {
    throw inWords(error, socketPath);
  }
}

async function build(
  socketPath: string,
  wanted: BuildRequest,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal | undefined,
): Promise<Outcome[]> {
  try {
    const response = await request(socketPath, 'POST', '/build', { body: wanted, signal });
    for await (const line of linesOf(response)) {
      const told = understood(buildLine, parseJson(line));
      if ('outcomes' in told) return told.outcomes;
      if ('error' in told) throw errorOf(told);
      onProgress(told.progress);
    }
  } catch (error) {
    throw inWords(error, socketPath);
  }
  throw new UserError(ENDED);
}

function request(socketPath: string, method: string, path: string, asking: Asking): Promise<http.IncomingMessage> {
  const { body, timeout, signal } = asking;
  return new Promise((resolve, reject) => {
    const limits = { ...(timeout === undefined ? {} : { timeout }), ...(signal === undefined ? {} : { signal }) };
    const sent = http.request({ socketPath, method, path, agent: false, ...limits }, resolve);
    sent.once('error', reject);
    sent.once('timeout', () => {
      sent.destroy(new UserError('cannot reach the daemon: it does not answer (systemctl restart ltsp-autoimage)'));
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function* linesOf(response: http.IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

const ENDED = 'cannot learn how it went: the daemon ended before it answered (ltsp-autoimage history tells)';

const MEANINGLESS =
  'cannot understand the daemon: it may be of another version than this program (systemctl restart ltsp-autoimage)';

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UserError(MEANINGLESS);
  }
}

function understood<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw new UserError(MEANINGLESS);
  return parsed.data;
}

function errorOf({ error, kind }: z.infer<typeof failure>): UserError {
  return kind === 'usage' ? new UsageError(error) : new UserError(error);
}

/** What the operating system says of the socket, as a person needs to hear it. */
function inWords(error: unknown, socketPath: string): unknown {
  if (hasCode(error, 'EACCES', 'EPERM')) {
    return new UserError(`cannot talk to the daemon at ${socketPath}: permission denied (run as root)`);
  }
  if (hasCode(error, 'ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'ENOENT')) return new UserError(ENDED, { cause: error });
  return error;
}
