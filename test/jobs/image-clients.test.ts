import fs from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { clientsByName } from '../../src/jobs/image-clients.ts';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import type { Site } from '../../src/steps/site.ts';
import { imageOf } from '../../src/store/layout.ts';
import { switchTo } from '../../src/store/switch.ts';
import { checkCron } from '../../src/watch/schedule.ts';
import { RealServer } from '../serve/nbd/real-server.ts';
import { makeSite } from '../steps/site.ts';
import { addImage } from '../store/store.ts';

const [FIRST, SECOND] = ['20260101T000000Z', '20260102T000000Z'] as const;

it('each client is told with the generation that it runs on, also when that is another by now or gone', async () => {
  const server = await RealServer.prepare();
  onTestFinished(() => server.stop());
  server.write('etc/ltsp/ltsp-autoimage.toml', '');
  const site: Site = { ...makeSite().site, config: loadConfig({ root: server.root, checkCron }) };
  const { paths } = site.config;
  const connect = async (): Promise<void> => {
    const client = await NbdClient.connect({ host: '127.0.0.1', port: server.port }, { timeout: 10_000 });
    await client.open(server.at('opt/ltsp/amd64'));
    onTestFinished(() => client.close());
  };
  for (const id of [FIRST, SECOND]) addImage(paths, 'amd64', id, `image ${id} `.repeat(1000));
  for (const id of [FIRST, SECOND]) fs.chmodSync(imageOf(paths, 'amd64', id), 0o644);
  switchTo(paths, 'amd64', { current: FIRST, previous: null }, Date.now());
  server.write(
    'etc/nbd-server/conf.d/ltsp_amd64.conf',
    `[${server.at('opt/ltsp/amd64')}]\nexportname = ${server.at('opt/ltsp/images/amd64.img')}\nreadonly = true\n`,
  );
  await server.start();
  expect(clientsByName(site, ['amd64']).size).toBe(0);
  await connect();
  switchTo(paths, 'amd64', { current: SECOND, previous: FIRST }, Date.now());
  await connect();
  await connect();
  const images = (): string[] =>
    (clientsByName(site, ['amd64', 'other']).get('amd64') ?? []).map(({ image }) => image).sort();
  // two connections of one address are one client
  expect(images()).toEqual([FIRST, SECOND]);
  expect(clientsByName(site, ['amd64']).get('amd64')?.[0]).toMatchObject({ address: '127.0.0.1' });
  expect(clientsByName(site, ['other']).size).toBe(0);
});
