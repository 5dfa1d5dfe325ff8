import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CannotCheckError } from '../../../src/checks/over-nbd/cannot-check.ts';
import { nbdServerIdentity } from '../../../src/checks/over-nbd/identity.ts';
import { LOOPBACK, startPrivateServer } from '../../../src/checks/over-nbd/private-server.ts';
import { lookAtExport } from '../../../src/serve/nbd/probe.ts';
import { freePort } from '../../serve/nbd/real-server.ts';
import { ServedImage } from './served-image.ts';

let site: ServedImage;
let other: net.Server;
let taken: number;
beforeEach(async () => {
  site = new ServedImage();
  taken = await freePort();
  other = net.createServer().listen(taken, LOOPBACK);
  await once(other, 'listening');
});
afterEach(async () => {
  other.close();
  await site.untilNoTraces();
  site.remove();
});

const options = (): Parameters<typeof startPrivateServer>[0] => ({
  file: site.image.file,
  servedAs: site.image.file,
  identity: { user: 'nbd', group: 'nbd' },
  mountPoint: site.mountPoint,
  signal: new AbortController().signal,
});

it('where the port was taken in the meantime another one is used, and the image is served there', async () => {
  const free = await freePort();
  const ports = [taken, free];
  const server = await startPrivateServer(options(), async () => ports.shift() ?? 0);
  try {
    expect(server.port).toBe(free);
    const address = { host: LOOPBACK, port: free };
    expect(await lookAtExport(address, server.exportName, { timeout: 30_000 })).toEqual({
      kind: 'served',
      size: site.image.size,
    });
  } finally {
    await server.close();
  }
});

it('where every port is taken the check cannot be made, and it is said by whom', async () => {
  const starting = startPrivateServer(options(), async () => taken);
  await expect(starting).rejects.toThrow(CannotCheckError);
  await expect(starting).rejects.toThrow(`port ${taken} is taken by process ${process.pid}`);
});

it('without a config that says who nbd-server is, it is the user that the machine has for it', () => {
  const absent = { kind: 'absent', file: '/etc/nbd-server/config' } as const;
  expect(nbdServerIdentity(absent)).toEqual({ user: 'nbd', group: 'nbd' });
  expect(nbdServerIdentity(absent, '/dev/null')).toEqual({ user: 'nobody', group: 'nogroup' });
});
