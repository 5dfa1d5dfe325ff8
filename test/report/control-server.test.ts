import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError, UserError } from '../../src/errors.ts';
import type { BuildRequest, Control, Outcome, Progress } from '../../src/report/control.ts';
import { connectControl } from '../../src/report/control-client.ts';
import { serveControl } from '../../src/report/control-server.ts';
import type { Status } from '../../src/report/status.ts';

let directory: string;
let socketPath: string;
let closers: (() => Promise<void>)[];
let problems: string[];
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'control-'));
  socketPath = path.join(directory, 'run', 'control.sock');
  closers = [];
  problems = [];
});
afterEach(async () => {
  for (const close of closers) await close();
  fs.rmSync(directory, { recursive: true });
});

const everything: BuildRequest = { names: [], scope: 'all', force: 'if changed', locks: 'wait' };
const published: Outcome = {
  name: 'amd64',
  kind: 'published',
  message: 'amd64: image is live',
  id: '20251127T043000Z',
};
const status: Status = { daemon: { running: true, pid: 1, version: '1' }, config: { ok: true }, chroots: [] };

/** Answers like a daemon; a test replaces what it is about. */
function fake(some: Partial<Control> = {}): Control {
  return {
    status: async () => status,
    history: async () => [],
    build: async () => [published],
    revert: async ({ name, to }) => ({ name, kind: 'reverted', message: `to ${to}`, id: to }),
    release: async (name) => ({ name, kind: 'released', message: `${name}: released`, id: null }),
    hold: async ({ name, until }) => ({ name, kind: 'held', message: `until ${until}`, id: null }),
    ...some,
  };
}

async function serve(some: Partial<Control> = {}, patience?: number): Promise<{ close: () => Promise<void> }> {
  const onError = (text: string): void => void problems.push(text);
  const server = await serveControl(socketPath, fake(some), {
    onError,
    ...(patience === undefined ? {} : { patience }),
  });
  closers.push(server.close);
  return server;
}

async function client(): Promise<Control> {
  const control = await connectControl(socketPath);
  if (control === undefined) throw new Error('nobody listens');
  return control;
}

/** One request, as any program could send it. */
function send(method: string, target: string, body: string | Buffer = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path: target, agent: false }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode ?? 0, text });
    });
    request.once('error', reject);
    request.end(body);
  });
}

/** What the server says to bytes that are no request, until it closes the connection. */
async function converse(bytes: string): Promise<string> {
  const socket = net.connect(socketPath);
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  socket.on('error', () => {});
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('a client and a server', () => {
  it('carry every question to the daemon and its answer back', async () => {
    const entry = {
      at: '2025-11-27T04:30:00.000Z',
      name: 'a b',
      event: 'published' as const,
      id: null,
      reason: 'r',
      message: 'm',
    };
    await serve({ history: async (name) => (name === 'a b' ? [entry] : []) });
    const control = await client();
    expect(await control.status()).toEqual(status);
    expect(await control.history('a b')).toEqual([entry]);
    expect(await control.history()).toEqual([]);
    expect(await control.revert({ name: 'amd64', to: '20251126T043000Z' })).toMatchObject({ id: '20251126T043000Z' });
    expect(await control.release('amd64')).toMatchObject({ kind: 'released', message: 'amd64: released' });
    const until = '2025-12-24T08:00:00.000Z';
    expect(await control.hold({ name: 'amd64', until })).toMatchObject({ kind: 'held', message: `until ${until}` });
  });

  it('carry progress in its order while a build runs, and then the outcomes', async () => {
    const seen = deferred<void>();
    const asked: BuildRequest[] = [];
    await serve({
      build: async (request, onProgress) => {
        asked.push(request);
        for (let percent = 0; percent < 50; percent += 1) onProgress({ name: 'amd64', text: 'building', percent });
        // ends only when the client has seen the first lines: they don't wait for the end
        await seen.promise;
        onProgress({ name: 'amd64', text: 'publishing', percent: null });
        return [published];
      },
    });
    const told: Progress[] = [];
    const outcomes = await (await client()).build({ ...everything, force: 'force' }, (progress) => {
      told.push(progress);
      if (told.length === 50) seen.resolve();
    });
    expect(outcomes).toEqual([published]);
    expect(asked).toEqual([{ ...everything, force: 'force' }]);
    expect(told.slice(0, 50).map(({ percent }) => percent)).toEqual([...Array(50).keys()]);
    expect(told.slice(50)).toEqual([{ name: 'amd64', text: 'publishing', percent: null }]);
  });

  it.each([
    [new UserError('cannot revert amd64: there is no generation x'), UserError],
    [new UsageError('cannot revert amd64: two chroots have that name'), UsageError],
  ])('carry an error with its words and its kind: %s', async (error, kind) => {
    const fail = async (): Promise<never> => {
      throw error;
    };
    await serve({ revert: fail, build: fail });
    const control = await client();
    const reverted = await control.revert({ name: 'amd64', to: 'x' }).catch((caught: unknown) => caught);
    const built = await control.build(everything, () => {}).catch((caught: unknown) => caught);
    for (const caught of [reverted, built]) {
      expect(caught).toBeInstanceOf(kind);
      expect(caught).toMatchObject({ name: error.name, message: error.message });
    }
    expect(problems).toEqual([]);
  });

  it('tell both sides of a bug', async () => {
    await serve({ status: () => Promise.reject(new TypeError('x is undefined')) });
    await expect((await client()).status()).rejects.toThrow('internal error: x is undefined');
    expect(problems).toEqual(['control socket: internal error: x is undefined']);
  });
});

describe('serveControl', () => {
  it('makes its directory, and a socket for root and its group alone', async () => {
    await serve();
    expect(fs.statSync(path.dirname(socketPath)).mode & 0o777).toBe(0o755);
    expect(fs.statSync(socketPath).mode & 0o777).toBe(0o660);
    expect(fs.readdirSync(path.dirname(socketPath))).toEqual(['control.sock']);
  });

  it('replaces the socket of a daemon that was killed', async () => {
    fs.mkdirSync(path.dirname(socketPath));
    const script = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(fs.statSync(socketPath).isSocket()).toBe(true);
    await serve();
    expect(await (await client()).status()).toEqual(status);
  });

  it('refuses where a daemon answers, and leaves that one alone', async () => {
    await serve();
    await expect(serve()).rejects.toThrow(`cannot listen on ${socketPath}: a daemon answers there already`);
    expect(await (await client()).status()).toEqual(status);
  });

  it('removes nothing that is no socket', async () => {
    fs.mkdirSync(path.dirname(socketPath));
    fs.writeFileSync(socketPath, 'precious');
    await expect(serve()).rejects.toThrow('something else is there');
    expect(fs.readFileSync(socketPath, 'utf8')).toBe('precious');
  });

  it('refuses a path that the kernel would not take, rather than listen at another', async () => {
    socketPath = path.join(directory, 'x'.repeat(100), 'control.sock');
    await expect(serve()).rejects.toThrow('the path is too long for a socket');
    expect(await connectControl(socketPath)).toBeUndefined();
  });

  it('takes its socket away when it closes, and no other daemon’s', async () => {
    const first = await serve();
    await first.close();
    expect(fs.existsSync(socketPath)).toBe(false);
    const second = await serve();
    fs.rmSync(socketPath);
    fs.writeFileSync(socketPath, 'of another');
    await second.close();
    expect(fs.existsSync(socketPath)).toBe(true);
  });

  it.each([
    ['GET', '/', '', 404],
    ['GET', '/build', '', 404],
    ['DELETE', '/status', '', 404],
    ['GET', '/constructor', '', 404],
    ['GET', '//', '', 404],
    ['POST', '/build', 'build it', 400],
    ['POST', '/build', '', 400],
    ['POST', '/build', '{"names":[]}', 400],
    ['POST', '/revert', '{"name":3,"to":null}', 400],
    ['POST', '/release', 'null', 400],
    ['POST', '/hold', '{"name":"amd64","until":"soon"}', 400],
    ['POST', '/hold', '{"name":"amd64"}', 400],
    ['POST', '/release', Buffer.from([0xff, 0xfe, 0x00]), 400],
  ])('refuses %s %s with body %j: %d', async (method, target, body, code) => {
    await serve();
    const { status: got, text } = await send(method, target, body);
    expect(got).toBe(code);
    expect(JSON.parse(text)).toMatchObject({ error: expect.any(String), kind: 'user' });
    expect((await send('GET', '/status')).status).toBe(200);
    expect(problems).toEqual([]);
  });

  it('refuses a request of 10 MB and goes on', async () => {
    await serve();
    const { status: got, text } = await send('POST', '/release', Buffer.alloc(10_000_000, ' '));
    expect(got).toBe(413);
    expect(JSON.parse(text)).toMatchObject({ error: 'the request is longer than 65536 bytes' });
    expect((await send('POST', '/release', `{"name":"amd64"}${' '.repeat(65_000)}`)).status).toBe(200);
  });

  it.each(['\x00\xff garbage\r\n\r\n', 'GET /status HTTP/9.9\r\n\r\n', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`])(
    'survives bytes that are no request',
    async (bytes) => {
      await serve();
      expect(await converse(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect((await send('GET', '/status')).status).toBe(200);
    },
  );

  it('closes the connection after each answer', async () => {
    await serve();
    expect(await converse('GET /status HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 200 OK\r\nconnection: close/,
    );
  });

  it('does not wait for a client that says nothing, or only half', async () => {
    await serve({}, 100);
    expect(await converse('')).toMatch(/^HTTP\/1\.1 408 |^$/);
    expect(await converse('POST /release HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{"name":')).toMatch(
      /^HTTP\/1\.1 408 |^$/,
    );
    expect(problems).toEqual([]);
  });

  it('lets go of a client that does not take its answer', async () => {
    const message = 'x'.repeat(50_000_000);
    await serve({ release: async (name) => ({ name, kind: 'released', message, id: null }) }, 100);
    const socket = net.connect(socketPath);
    socket.on('error', () => {});
    socket.write('POST /release HTTP/1.1\r\nhost: x\r\ncontent-length: 16\r\n\r\n{"name":"amd64"}');
    await once(socket, 'readable');
    await expect.poll(() => serverSideSockets(), { timeout: 10_000 }).toBe(0);
    socket.destroy();
  });

  it('goes on with a build whose client went away', async () => {
    const started = deferred<void>();
    const gone = deferred<void>();
    const finished = deferred<string>();
    await serve({
      build: async (_request, onProgress) => {
        onProgress({ name: 'amd64', text: 'building', percent: 1 });
        started.resolve();
        await gone.promise;
        for (let i = 0; i < 10_000; i += 1) onProgress({ name: 'amd64', text: 'building', percent: 2 });
        finished.resolve('built');
        return [published];
      },
    });
    const leave = new AbortController();
    const asked = (await client()).build(everything, () => {}, leave.signal);
    await started.promise;
    leave.abort();
    await expect(asked).rejects.toThrow('abort');
    gone.resolve();
    expect(await finished.promise).toBe('built');
    expect((await send('GET', '/status')).status).toBe(200);
    expect(problems).toEqual([]);
  });

  it('tells those who wait for a build when it closes', async () => {
    const started = deferred<void>();
    const server = await serve({
      build: () => {
        started.resolve();
        return new Promise(() => {});
      },
    });
    const asked = (await client()).build(everything, () => {});
    const refused = expect(asked).rejects.toThrow('the daemon is stopping');
    await started.promise;
    await server.close();
    await refused;
  });

  it('closes although clients hang', async () => {
    const started = deferred<void>();
    const server = await serve({
      status: () => {
        started.resolve();
        return new Promise(() => {});
      },
    });
    const silent = net.connect(socketPath);
    silent.on('error', () => {});
    const asked = (await client()).status();
    const ended = expect(asked).rejects.toThrow('the daemon ended before it answered');
    await started.promise;
    await server.close();
    await ended;
    silent.destroy();
  });
});

describe('connectControl', () => {
  it('finds no daemon where there is no socket, no directory, or a dead one', async () => {
    expect(await connectControl(socketPath)).toBeUndefined();
    fs.mkdirSync(path.dirname(socketPath));
    fs.writeFileSync(socketPath, '');
    expect(await connectControl(socketPath)).toBeUndefined();
    expect(await connectControl(path.join(socketPath, 'below-a-file'))).toBeUndefined();
  });

  it.runIf(process.getuid?.() === 0)('is closed to a user without the right to it', async () => {
    await serve();
    fs.chmodSync(directory, 0o755);
    // in a program of its own: a running Node may not be able to give up its groups
    const script = `require('node:net').connect(process.argv[1]).on('error', (error) => console.log(error.code))`;
    const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups', process.execPath, '-e', script, socketPath];
    const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(child.stdout, 'data');
    expect(String(said).trim()).toBe('EACCES');
  });

  it.each(['{"daemon":', '{"daemon":{"running":"yes"}}', '[]', ''])(
    'says that an answer makes no sense: %s',
    async (text) => {
      fs.mkdirSync(path.dirname(socketPath));
      const server = http.createServer((_request, response) => void response.end(text)).listen(socketPath);
      await once(server, 'listening');
      closers.push(async () => void server.close());
      const control = await client();
      await expect(control.status()).rejects.toThrow('it may be of another version');
      await expect(control.build(everything, () => {})).rejects.toThrow(UserError);
    },
  );

  it('says so when the daemon dies in the middle of a build', async () => {
    fs.mkdirSync(path.dirname(socketPath));
    const line = `${JSON.stringify({ progress: { name: 'amd64', text: 'building', percent: 1 } })}\n`;
    const server = http.createServer((_request, response) => {
      response.write(line, () => response.destroy());
    });
    server.listen(socketPath);
    await once(server, 'listening');
    closers.push(async () => void server.close());
    const told: Progress[] = [];
    const asked = (await client()).build(everything, (progress) => void told.push(progress));
    await expect(asked).rejects.toThrow('the daemon ended before it answered');
    expect(told).toHaveLength(1);
  });
});

/** Connections to the socket as the kernel knows them (proc(5), net/unix): the listener itself is not counted. */
function serverSideSockets(): number {
  const lines = fs.readFileSync('/proc/net/unix', 'utf8').split('\n');
  return lines.filter((line) => line.includes(directory) && line.split(/\s+/)[5] !== '01').length;
}
