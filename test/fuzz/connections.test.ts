import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import type { Control } from '../../src/report/control.ts';
import { connectControl } from '../../src/report/control-client.ts';
import { serveControl } from '../../src/report/control-server.ts';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import { NbdError } from '../../src/serve/nbd/nbd-error.ts';
import { damaged } from './damaged.ts';

it('whatever an NBD server answers, the client gets an answer or an NbdError', async () => {
  let answer: Uint8Array = Buffer.alloc(0);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  const greeting = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 3])]);
  const info = Buffer.alloc(12);
  info.writeBigUInt64BE(4096n, 2);
  const listed = Buffer.concat([uint32(4), Buffer.from('name')]);
  const read = Buffer.concat([uint32(0x67446698), uint32(0), uint32(0), uint32(1), Buffer.alloc(512)]);
  const samples = [
    Buffer.concat([greeting, reply(3, 2, listed), reply(3, 1)]),
    Buffer.concat([greeting, reply(7, 3, info), reply(7, 1), read]),
    Buffer.concat([greeting, reply(7, 0x80000002, Buffer.from('no'))]),
  ];
  const tokens = ['IHAVEOPT', '\x00\x00\x00\x01', '\x00\x03\xe8\x89\x04\x55\x65\xa9', '\x67\x44\x66\x98'];
  await fc.assert(
    fc.asyncProperty(damaged(samples, tokens), fc.constantFrom('list', 'open'), async (bytes, what) => {
      answer = bytes;
      try {
        const client = await NbdClient.connect({ host: '127.0.0.1', port }, { timeout: 5000 });
        try {
          if (what === 'list') expect(Array.isArray(await client.list())).toBe(true);
          else {
            expect(typeof (await client.open('name')).size).toBe('number');
            expect(await client.read(0, 512)).toHaveLength(512);
          }
        } finally {
          client.close();
        }
      } catch (error) {
        if (!(error instanceof NbdError)) throw error;
      }
    }),
    { numRuns: 80, endOnFailure: true },
  );
});

it('whatever comes by the control socket, the daemon answers the next one and has nothing to blame itself for', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'fuzz-'));
  const socketPath = path.join(directory, 'control.sock');
  const problems: string[] = [];
  const asked: unknown[] = [];
  const control: Control = {
    status: async () => ({ daemon: { running: true, pid: 1, version: '1' }, config: { ok: true }, chroots: [] }),
    history: async () => [],
    build: async (request) => {
      asked.push(request);
      return [];
    },
    revert: async ({ name }) => ({ name, kind: 'reverted', message: '', id: null }),
    release: async (name) => ({ name, kind: 'released', message: '', id: null }),
    hold: async ({ name }) => ({ name, kind: 'held', message: '', id: null }),
  };
  const server = await serveControl(socketPath, control, { onError: (text) => problems.push(text), patience: 2000 });
  onTestFinished(async () => {
    await server.close();
    fs.rmSync(directory, { recursive: true });
  });
  const body = '{"names":["amd64"],"scope":"named","force":"force","locks":"wait"}';
  const post = (route: string, text: string): string =>
    `POST ${route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
  const samples = [
    'GET /status HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /history?name=amd64 HTTP/1.1\r\nHost: x\r\n\r\n',
    post('/build', body),
    post('/revert', '{"name":"amd64","to":null}'),
    post('/release', '{"name":"amd64"}'),
  ];
  const tokens = [
    'POST ',
    '/build',
    'HTTP/1.1',
    '\r\n\r\n',
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    '?',
    '%',
    '#',
    '{}',
  ];
  await fc.assert(
    fc.asyncProperty(damaged(samples, tokens), async (bytes) => {
      const socket = net.connect(socketPath);
      socket.on('error', () => {});
      socket.resume();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(bytes);
      await closed;
    }),
    { numRuns: 80, endOnFailure: true },
  );
  const client = await connectControl(socketPath);
  expect((await client?.status())?.daemon.running).toBe(true);
  expect(problems).toEqual([]);
  for (const request of asked) expect(request).toMatchObject({ scope: expect.any(String), names: expect.any(Array) });
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** "NBD protocol, Fixed newstyle negotiation": a reply to an option. */
function reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const magic = Buffer.from('0003e889045565a9', 'hex');
  return Buffer.concat([magic, uint32(option), uint32(type), uint32(data.length), data]);
}
