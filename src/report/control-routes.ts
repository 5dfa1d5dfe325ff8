import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { messageOf, UsageError, UserError } from '../errors.ts';
import { buildRequest, type Control, holdRequest, releaseRequest, revertRequest } from './control.ts';

export type Exchange = {
  request: IncomingMessage;
  response: ServerResponse;
  /** Aborted when the server closes: clients that still wait are told. */
  closing: AbortSignal;
  onError: (text: string) => void;
};

type Route = (control: Control, exchange: Exchange, query: URLSearchParams) => Promise<void>;

const ROUTES: Record<string, Route> = {
  'GET /status': async (control, { response }) => send(response, 200, await control.status()),
  'GET /history': async (control, { response }, query) => {
    const name = query.get('name');
    send(response, 200, await (name === null ? control.history() : control.history(name)));
  },
  'POST /build': build,
  'POST /revert': async (control, { request, response }) => {
    send(response, 200, await control.revert(await read(request, revertRequest)));
  },
  'POST /release': async (control, { request, response }) => {
    const { name } = await read(request, releaseRequest);
    send(response, 200, await control.release(name));
  },
  'POST /hold': async (control, { request, response }) => {
    send(response, 200, await control.hold(await read(request, holdRequest)));
  },
};

const BODY_LIMIT = 64 * 1024;

/** A request that is refused, with its HTTP status. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Answers one request. Never throws: what goes wrong is the answer `{error, kind}`. */
export async function answerRequest(control: Control, exchange: Exchange): Promise<void> {
  const { request, response, onError } = exchange;
  try {
    const [pathname, query] = (request.url ?? '').split('?', 2);
    const key = `${request.method} ${pathname}`;
    const route = Object.hasOwn(ROUTES, key) ? ROUTES[key] : undefined;
    if (route === undefined) throw new Refusal(404, `there is no ${key}`);
    await route(control, exchange, new URLSearchParams(query));
  } catch (error) {
    // the client went away in the middle of its request
    if (response.destroyed || (request.destroyed && !request.complete)) return;
    const { status, ...answer } = answerTo(error);
    if (status === 500) onError(`control socket: ${answer.error}`);
    send(response, status, answer);
  }
}

/** A line for each progress, then one with the outcomes or what went wrong: each a JSON object. */
async function build(control: Control, { request, response, closing, onError }: Exchange): Promise<void> {
  const wanted = await read(request, buildRequest);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const write = (line: object): void => {
    if (!response.writableEnded && !response.destroyed) response.write(`${JSON.stringify(line)}\n`);
  };
  const end = (line: object): void => {
    write(line);
    response.end();
  };
  const onClosing = (): void =>
    end({ error: 'the daemon is stopping (ltsp-autoimage history tells how it went)', kind: 'user' });
  closing.addEventListener('abort', onClosing, { once: true });
  try {
    const outcomes = await control.build(wanted, (progress) => {
      // a client that doesn't read misses some, rather than filling the memory
      if (!response.writableNeedDrain) write({ progress });
    });
    end({ outcomes });
  } catch (error) {
    const { status, ...answer } = answerTo(error);
    if (status === 500) onError(`control socket: ${answer.error}`);
    end(answer);
  } finally {
    closing.removeEventListener('abort', onClosing);
  }
}

/** A body that is too long is read to its end and dropped: a client that still sends would not see the answer. */
async function read<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    length += chunk.length;
    if (length <= BODY_LIMIT) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (length > BODY_LIMIT) throw new Refusal(413, `the request is longer than ${BODY_LIMIT} bytes`);
  const parsed = schema.safeParse(parseJson(Buffer.concat(chunks).toString()));
  if (!parsed.success) throw new Refusal(400, `the request is not valid: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'the request is not JSON');
  }
}

function send(response: ServerResponse, status: number, answer: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(answer)}\n`);
}

function answerTo(error: unknown): { status: number; error: string; kind: 'user' | 'usage' } {
  if (error instanceof Refusal) return { status: error.status, error: error.message, kind: 'user' };
  if (error instanceof UsageError) return { status: 422, error: messageOf(error), kind: 'usage' };
  if (error instanceof UserError) return { status: 422, error: messageOf(error), kind: 'user' };
  return { status: 500, error: `internal error: ${messageOf(error)}`, kind: 'user' };
}
