import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { incrementalInThread } from '../../src/build/incremental/in-thread.ts';
import { contentsInThread } from '../../src/checks/sample.ts';
import type { Chroot } from '../../src/chroot/chroot.ts';
import { loadConfig } from '../../src/config/load.ts';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import { exportImage } from '../../src/steps/export-image.ts';
import type { RebuildJob, Site } from '../../src/steps/site.ts';
import { treeInThread } from '../../src/tree/in-thread.ts';
import { checkCron } from '../../src/watch/schedule.ts';
import { RealServer } from '../serve/nbd/real-server.ts';
import { makeJob, Remembered } from './site.ts';

let server: RealServer;
let site: Site;
let told: Remembered;
let chroot: Chroot;
beforeEach(async () => {
  server = await RealServer.prepare();
  onTestFinished(() => server.stop());
  told = new Remembered();
  site = {
    config: load(),
    log: told.log,
    tree: treeInThread,
    contents: contentsInThread,
    incremental: incrementalInThread,
    notify: () => {},
    now: Date.now,
  };
  chroot = { name: 'amd64', path: server.at('opt/ltsp/amd64') };
  server.write('opt/ltsp/images/amd64.img', 'the image '.repeat(50_000));
});

function load(toml = ''): Site['config'] {
  server.write('etc/ltsp/ltsp-autoimage.toml', toml);
  return loadConfig({ root: server.root, checkCron });
}

async function run(): Promise<RebuildJob> {
  const job = makeJob(site, chroot);
  const plan = await exportImage.prepare(job);
  await exportImage.act(job, plan);
  return job;
}

const file = (): string => server.at('etc/nbd-server/conf.d/ltsp_amd64.conf');

/** The size of what a new client gets. */
async function served(): Promise<number> {
  const client = await NbdClient.connect({ host: '127.0.0.1', port: server.port }, { timeout: 5000 });
  try {
    return (await client.open(server.at('opt/ltsp/amd64'))).size;
  } finally {
    client.close();
  }
}

describe('export-image', () => {
  it('writes the export as LTSP 5 does, and says what to run where no nbd-server runs', async () => {
    const { notes } = await run();
    expect(fs.readFileSync(file(), 'utf8')).toBe(
      [
        `[${server.at('opt/ltsp/amd64')}]`,
        `exportname = ${server.at('opt/ltsp/images/amd64.img')}`,
        'readonly = true',
        `authfile = ${server.at('etc/ltsp/nbd-server.allow')}`,
        '',
      ].join('\n'),
    );
    expect(notes).toEqual([
      `amd64: cannot let nbd-server serve ${server.at('opt/ltsp/amd64')}: nbd-server does not run ` +
        `(run: nbd-server -C ${server.at('etc/nbd-server/config')})`,
    ]);
  });

  it('a running nbd-server serves it afterwards, or a line says what to run', async () => {
    await server.start();
    const { notes } = await run();
    // nbd-server may break when it is told of a new export: then it must be said
    if (notes.length === 0) {
      expect(await served()).toBe(500_000);
      expect(told.count('export.served')).toBe(1);
    } else {
      expect(notes).toEqual([expect.stringContaining('run: ')]);
      expect(told.count('export.problem')).toBe(1);
    }
  });

  it('leaves a file that the admin has changed alone, without a word', async () => {
    server.write('etc/nbd-server/conf.d/ltsp_amd64.conf', '[mine]\nexportname = /x\n');
    expect((await run()).notes).toEqual([]);
    expect(fs.readFileSync(file(), 'utf8')).toBe('[mine]\nexportname = /x\n');
  });

  it('at a site that serves by NFS writes none, and says so once', async () => {
    server.write('etc/exports', '/opt/ltsp *(ro)\n');
    fs.rmSync(server.at('etc/nbd-server/conf.d/ltsp_first.conf'));
    await run();
    await run();
    expect(fs.existsSync(file())).toBe(false);
    expect(told.count('export.skipped')).toBe(1);
    site = { ...site, config: load('[serve]\nnbd = "on"\n') };
    await run();
    expect(fs.existsSync(file())).toBe(true);
  });

  it('writes none where exports are switched off', async () => {
    site = { ...site, config: load('[serve]\nnbd = "off"\n') };
    expect((await run()).notes).toEqual([]);
    expect(fs.existsSync(file())).toBe(false);
    expect(told.events).toEqual([]);
  });

  it('goes where the config says', async () => {
    const conf = server.at('etc/nbd.d');
    site = { ...site, config: load('[serve]\nnbd_conf_dir = "/etc/nbd.d"\nnbd_authfile = "/etc/who"\n') };
    await run();
    const text = fs.readFileSync(path.join(conf, 'ltsp_amd64.conf'), 'utf8');
    expect(text).toContain(`authfile = ${server.at('etc/who')}\n`);
  });

  it('that cannot be written is a note, not an end of the build', async () => {
    fs.rmSync(server.at('etc/nbd-server/conf.d'), { recursive: true });
    server.write('etc/nbd-server/conf.d', 'no directory');
    const { notes } = await run();
    expect(notes).toEqual([expect.stringContaining('cannot')]);
  });

  it('says that the config of nbd-server cannot be read, and writes the export all the same', async () => {
    fs.rmSync(server.at('etc/nbd-server/config'));
    fs.mkdirSync(server.at('etc/nbd-server/config'));
    const { notes } = await run();
    expect(notes).toEqual([
      expect.stringMatching(/^amd64: cannot read nbd-server's config .*etc\/nbd-server\/config: EISDIR/),
    ]);
    expect(fs.existsSync(file())).toBe(true);
  });

  it('its undo takes the file away', async () => {
    const job = makeJob(site, chroot);
    const plan = await exportImage.prepare(job);
    await exportImage.act(job, plan);
    await exportImage.undo(site, plan);
    expect(fs.existsSync(file())).toBe(false);
  });
});
