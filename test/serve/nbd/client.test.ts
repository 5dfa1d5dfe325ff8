import fs from 'node:fs';
import net from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NbdClient } from '../../../src/serve/nbd/client.ts';
import { clientsOn, listenerOn } from '../../../src/serve/nbd/listener.ts';
import { lookAtExport } from '../../../src/serve/nbd/probe.ts';
import { freePort, RealServer } from './real-server.ts';

const options = { timeout: 5000 };
const host = '127.0.0.1';

describe('with a real nbd-server', () => {
  let server: RealServer;
  beforeAll(async () => {
    server = await RealServer.prepare();
    server.export('missing', 'missing');
    server.export('unreadable', 'unreadable');
    server.write('opt/ltsp/images/unreadable.img', 'x');
    fs.chmodSync(server.at('opt/ltsp/images/unreadable.img'), 0o600);
    server.export('nobody');
    fs.appendFileSync(
      server.at('etc/nbd-server/conf.d/ltsp_nobody.conf'),
      `authfile = ${server.at('etc/ltsp/allow')}\n`,
    );
    server.write('etc/ltsp/allow', '');
    await server.start();
  });
  afterAll(() => server.stop());

  const connect = (): Promise<NbdClient> => NbdClient.connect({ host, port: server.port }, options);
  const look = (name: string): ReturnType<typeof lookAtExport> =>
    lookAtExport({ host, port: server.port }, `/opt/ltsp/${name}`, options);

  it('lists exports, opens one and reads what its file has', async () => {
    const client = await connect();
    try {
      const names = ['first', 'missing', 'nobody', 'unreadable'].map((name) => `/opt/ltsp/${name}`);
      expect((await client.list()).sort()).toEqual(names);
      const file = fs.readFileSync(server.at('opt/ltsp/images/first.img'));
      expect((await client.open('/opt/ltsp/first')).size).toBe(file.length);
      expect((await client.read(0, 1_000_000)).equals(file.subarray(0, 1_000_000))).toBe(true);
      expect((await client.read(file.length - 5, 5)).equals(file.subarray(-5))).toBe(true);
    } finally {
      client.close();
    }
  });

  it.each([
    ['first', { kind: 'served', size: 1_200_000 }],
    ['other', { kind: 'unknown', why: expect.stringContaining('/opt/ltsp/other') }],
    ['missing', { kind: 'refused', why: expect.stringContaining('/opt/ltsp/missing') }],
    ['unreadable', { kind: 'refused', why: expect.stringContaining('/opt/ltsp/unreadable') }],
    ['nobody', { kind: 'refused', why: expect.stringContaining('/opt/ltsp/nobody') }],
  ])('an export such as "%s" is %o', async (name, seen) => {
    expect(await look(name)).toEqual(seen);
  });

  it('the master is found, and each client with its address', async () => {
    const client = await connect();
    try {
      await client.open('/opt/ltsp/first');
      const listener = listenerOn(server.port);
      expect(listener.kind).toBe('nbd-server');
      const clients = clientsOn(server.port);
      expect(clients.map((one) => one.client)).toContain('127.0.0.1');
      expect(clients.map(({ pid }) => pid)).not.toContain(listener.kind === 'nbd-server' ? listener.pid : 0);
    } finally {
      client.close();
    }
  });

  it('a read beyond the end is an error of the server, which does not hang the client', async () => {
    const client = await connect();
    try {
      const { size } = await client.open('/opt/ltsp/first');
      await expect(client.read(size + 4096, 512)).rejects.toMatchObject({ trouble: 'failed' });
    } finally {
      client.close();
    }
  });
});

describe('with something else', () => {
  const servers: net.Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  const serve = async (onConnection: (socket: net.Socket) => void): Promise<number> => {
    const port = await freePort();
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      onConnection(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    return port;
  };

  it('a port where nobody listens is unreachable, and nobody is found there', async () => {
    const port = await freePort();
    expect(listenerOn(port)).toEqual({ kind: 'nobody' });
    expect((await lookAtExport({ host, port }, 'a', options)).kind).toBe('unreachable');
  });

  it('a port of another program is seen as that, and what it says as no NBD', async () => {
    const port = await serve((socket) => socket.end('220 mail.example.org ESMTP ready\r\n'));
    expect(listenerOn(port)).toMatchObject({ kind: 'other', pid: process.pid });
    expect((await lookAtExport({ host, port }, 'a', options)).kind).toBe('protocol');
  });

  it('a server that says nothing is a timeout', async () => {
    const sockets: net.Socket[] = [];
    const port = await serve((socket) => sockets.push(socket));
    expect(await lookAtExport({ host, port }, 'a', { timeout: 50 })).toEqual({
      kind: 'timeout',
      why: 'no answer within 0.05 s',
    });
    for (const socket of sockets) socket.destroy();
  });

  it('a server that hangs up in the middle of a word is one that ended', async () => {
    const port = await serve((socket) => socket.end('NBDMAG'));
    expect((await lookAtExport({ host, port }, 'a', options)).kind).toBe('ended');
  });

  it('an answer of a senseless length is no NBD', async () => {
    const greeting = Buffer.from('NBDMAGICIHAVEOPT\0\x01', 'latin1');
    const reply = Buffer.alloc(20);
    reply.writeBigUInt64BE(0x3e889045565a9n, 0);
    reply.writeUInt32BE(7, 8);
    reply.writeUInt32BE(3, 12);
    reply.writeUInt32BE(0xffffffff, 16);
    const port = await serve((socket) => {
      socket.write(greeting);
      socket.write(reply);
    });
    expect((await lookAtExport({ host, port }, 'a', options)).kind).toBe('protocol');
  });

  it('whoever waits is let go when it is stopped', async () => {
    const stop = new AbortController();
    const port = await serve((socket) => {
      socket.resume();
      stop.abort();
    });
    expect((await lookAtExport({ host, port }, 'a', { ...options, signal: stop.signal })).kind).toBe('stopped');
    expect((await lookAtExport({ host, port }, 'a', { ...options, signal: stop.signal })).kind).toBe('stopped');
  });
});
