import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { clientsOf, fileIdentity, type ImageClient, imageClients } from '../../src/serve/clients.ts';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import { RealServer } from './nbd/real-server.ts';

let server: RealServer;
const clients: NbdClient[] = [];

beforeAll(async () => {
  server = await RealServer.prepare();
  const config = fs.readFileSync(server.at('etc/nbd-server/config'), 'utf8');
  server.write('etc/nbd-server/config', config.replace('listenaddr = 127.0.0.1', 'listenaddr = 127.0.0.1, ::1'));
  server.export('second', 'second');
  await server.start();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await until(() => imageClients(server.port).length === 0);
});
afterAll(() => server.stop());

const until = async (done: () => boolean): Promise<void> => {
  for (let looks = 0; !done(); looks++) {
    if (looks === 200) throw new Error('it did not come to that');
    await delay(25);
  }
};

const image = (name: string): string => server.at(`opt/ltsp/images/${name}.img`);

const connect = async (name: string, host = '127.0.0.1'): Promise<void> => {
  const client = await NbdClient.connect({ host, port: server.port }, { timeout: 5000 });
  clients.push(client);
  await client.open(`/opt/ltsp/${name}`);
};

const on = (file: string): ImageClient[] => {
  const identity = fileIdentity(file);
  return identity === undefined ? [] : clientsOf([identity], server.port);
};

it('a client that connected before an image was replaced runs on the old file, one that came later on the new', async () => {
  server.write('opt/ltsp/images/second.img', 'old');
  fs.linkSync(image('second'), image('generation-1'));
  await connect('second');
  server.write('opt/ltsp/images/next.img', 'new');
  fs.renameSync(image('next'), image('second'));
  await connect('second');

  const [old, ...moreOld] = on(image('generation-1'));
  const [current, ...moreCurrent] = on(image('second'));
  expect([moreOld, moreCurrent]).toEqual([[], []]);
  expect(old?.file).toEqual(fileIdentity(image('generation-1')));
  expect(current?.file).toEqual(fileIdentity(image('second')));
  expect(old?.pid).not.toBe(current?.pid);
  expect([old?.address, current?.address]).toEqual(['127.0.0.1', '127.0.0.1']);
  expect(current?.openedAs).toBe(image('second'));
});

it('a client of a file that was removed is still known by the inode, and the file has no name', async () => {
  server.write('opt/ltsp/images/second.img', 'doomed');
  const identity = fileIdentity(image('second'));
  await connect('second');
  fs.rmSync(image('second'));
  expect(on(image('second'))).toEqual([]);
  expect(identity && clientsOf([identity], server.port)).toMatchObject([{ openedAs: null, file: identity }]);
});

it('clients over IPv6 have their address in its usual form, and clients of other images are not among them', async () => {
  server.write('opt/ltsp/images/second.img', 'x');
  await connect('first', '::1');
  await connect('second');
  expect(on(image('first')).map(({ address }) => address)).toEqual(['::1']);
  expect(imageClients(server.port)).toHaveLength(2);
});

it('since when a client runs is when its process was started, as ps has it', async () => {
  await connect('first');
  const [client] = on(image('first'));
  const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(client?.pid)], { encoding: 'utf8' });
  // both round to the second, each in its own way
  expect(Math.abs((client?.since ?? 0) - Date.parse(started))).toBeLessThanOrEqual(1000);
});

it('one that has connected and not yet opened an export runs on nothing', async () => {
  clients.push(await NbdClient.connect({ host: '127.0.0.1', port: server.port }, { timeout: 5000 }));
  expect(imageClients(server.port)).toEqual([]);
});

it('where nobody serves there are no clients', () => {
  const identity = fileIdentity(image('first'));
  expect(identity).toBeDefined();
  expect(identity && clientsOf([identity], 1)).toEqual([]);
  expect(fileIdentity(image('none'))).toBeUndefined();
});
