import fs from 'node:fs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Finding } from '../../src/checks/check.ts';
import { type LiveCheckOptions, liveCheck } from '../../src/checks/live.ts';
import { RejectedError } from '../../src/errors.ts';
import { liveExportOf, lookAtLive } from '../../src/serve/live-export.ts';
import { digestNow } from '../../src/store/digest.ts';
import { RealServer } from '../serve/nbd/real-server.ts';

let server: RealServer;
let options: LiveCheckOptions;
beforeEach(async () => {
  server = await RealServer.prepare();
  onTestFinished(() => server.stop());
  const file = server.at('opt/ltsp/images/first.img');
  const live = liveExportOf({ root: server.root }, file);
  options = { image: { file, ...digestNow(file) }, live, before: { kind: 'served', size: 1 }, strictness: 'on' };
});

function check(more: Partial<LiveCheckOptions> = {}): Promise<Finding> {
  return liveCheck({ ...options, ...more }).run(new AbortController().signal);
}

describe('the live check', () => {
  it('passes when a new client gets the checked bytes', async () => {
    await server.start();
    expect(await check()).toEqual({ message: 'a new client gets the checked bytes over NBD', warnings: [] });
  });

  it('rejects other bytes, whatever was before', async () => {
    await server.start();
    fs.writeFileSync(options.image.file, 'first imagE '.repeat(100_000));
    for (const before of [options.before, { kind: 'unreachable', why: 'x' } as const]) {
      await expect(check({ before })).rejects.toThrow(RejectedError);
    }
  });

  it('rejects when the export answered before the image was published and does not any more', async () => {
    await expect(check()).rejects.toThrow(
      /^clients cannot get it from the export .*; before it was published they could$/,
    );
  });

  it('warns when it did not answer before either, unless it is strict', async () => {
    const before = { kind: 'unreachable', why: 'x' } as const;
    const { warnings } = await check({ before });
    expect(warnings).toEqual([expect.stringMatching(/that was so before it was published, too$/)]);
    await expect(check({ before, strictness: 'strict' })).rejects.toThrow('check.live = "strict"');
  });

  it('rejects a file with other bytes also where the export does not answer', async () => {
    fs.writeFileSync(options.image.file, 'first imagE '.repeat(100_000));
    await expect(check({ before: { kind: 'unreachable', why: 'x' } })).rejects.toThrow('has not the bytes');
  });

  it('looks at the file alone where there is no export', async () => {
    expect((await check({ live: null })).message).toContain('have the recorded digest');
    fs.truncateSync(options.image.file, 10);
    await expect(check({ live: null })).rejects.toThrow(RejectedError);
  });
});

describe('the export of an image', () => {
  it('is found by its file, whatever its name is', async () => {
    await server.start();
    const signal = new AbortController().signal;
    const look = (image: string) => lookAtLive({ root: server.root }, server.at(image), { timeout: 5000, signal });
    server.write(
      'etc/nbd-server/conf.d/ltsp_first.conf',
      `[mine]\nexportname = ${server.at('opt/ltsp/images/first.img')}\nreadonly = true\n`,
    );
    expect(liveExportOf({ root: server.root }, options.image.file)?.name).toBe('mine');
    // the server still has the former section
    expect((await look('opt/ltsp/images/first.img')).kind).toBe('unknown');
    expect(await look('opt/ltsp/images/other.img')).toEqual({ kind: 'no export' });
  });

  it('is none where there is no nbd-server', () => {
    fs.rmSync(server.at('etc/nbd-server/config'));
    expect(liveExportOf({ root: server.root }, options.image.file)).toBeNull();
  });
});
