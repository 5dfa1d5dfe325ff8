import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkOverNbd, type OverNbdOptions, type OverNbdResult } from '../../src/checks/over-nbd.ts';
import { CancelledError, RejectedError } from '../../src/errors.ts';
import { noise, ServedImage, sha256 } from './over-nbd/served-image.ts';

const NBD = { user: 'nbd', group: 'nbd' };

let site: ServedImage;
beforeEach(() => {
  site = new ServedImage();
});
afterEach(async () => {
  await site.untilNoTraces();
  expect(fs.existsSync(site.mountPoint)).toBe(true);
  site.remove();
});

const check = (changes: Partial<OverNbdOptions> = {}): Promise<OverNbdResult> =>
  checkOverNbd(site.image, {
    server: NBD,
    mountPoint: site.mountPoint,
    timeout: 60_000,
    mounted: async () => undefined,
    ...changes,
  });

/** Never ends by itself. */
const forever = (): Promise<never> => new Promise(() => undefined);

describe('an image as it should be', () => {
  it('passes: it is served, read whole, mounted, and its files are there to be looked at', async () => {
    let seen = '';
    const result = await check({
      mounted: async (root) => {
        seen = fs.readFileSync(path.join(root, 'hostname'), 'utf8');
        expect(fs.readFileSync(path.join(root, 'noise')).equals(noise(12_000_000))).toBe(true);
        expect(() => fs.writeFileSync(path.join(root, 'new'), '')).toThrow('read-only');
      },
    });
    expect(result).toEqual({ kind: 'passed', took: expect.anything() });
    expect(Object.keys(result.took).sort()).toEqual(['mount', 'read', 'serve']);
    expect(seen).toBe('client\n');
  });

  it('is rejected when who looks at the mount finds a fault', async () => {
    const mounted = async (): Promise<void> => {
      throw new RejectedError('sbin/init is missing');
    };
    expect(await check({ mounted })).toMatchObject({ kind: 'failed', why: 'sbin/init is missing' });
  });

  it('is not judged when who looks at the mount could not look', async () => {
    const mounted = async (): Promise<void> => {
      throw new Error('no memory');
    };
    await expect(check({ mounted })).rejects.toThrow('no memory');
  });

  it('can be checked twice at once with the same directory for mounts', async () => {
    const results = await Promise.all([check(), check()]);
    expect(results.map(({ kind }) => kind)).toEqual(['passed', 'passed']);
  });
});

describe('an image that clients would not get', () => {
  it('has a mode that keeps nbd-server out, which is named', async () => {
    fs.chmodSync(site.image.file, 0o600);
    const why = `nbd-server, which runs as nbd:nbd, may not read ${site.image.file} (mode 0600, owner root:nbd)`;
    expect(await check()).toMatchObject({ kind: 'failed', why: `clients would not get the image: ${why}` });
  });

  it('has a group that is not the one of nbd-server, though root would get in', async () => {
    execFileSync('chgrp', ['root', site.image.file]);
    expect(await check()).toMatchObject({
      kind: 'failed',
      why: expect.stringContaining('(mode 0640, owner root:root)'),
    });
    expect(await check({ server: { user: 'nbd', group: 'root' } })).toMatchObject({ kind: 'passed' });
  });

  it('lies in a directory that nbd-server may not enter, which is named', async () => {
    fs.chmodSync(site.at('images'), 0o700);
    const why = `may not go through the directory ${site.at('images')} (mode 0700, owner root:root)`;
    expect(await check()).toMatchObject({ kind: 'failed', why: expect.stringContaining(why) });
  });

  it('is looked at by the path that clients will get it by, not by the one where it was built', async () => {
    const servedAs = site.at('images/live.img');
    const hidden = site.at('hidden');
    fs.mkdirSync(hidden, { mode: 0o700 });
    const file = path.join(hidden, 'candidate');
    fs.renameSync(site.image.file, file);
    const image = { ...site.image, file };
    const options = { server: NBD, mountPoint: site.mountPoint, timeout: 60_000, mounted: async () => undefined };
    expect(await checkOverNbd(image, { ...options, servedAs })).toMatchObject({ kind: 'passed' });
    expect(fs.readdirSync(site.at('images'))).toEqual([]);
    fs.chmodSync(site.at('images'), 0o700);
    const why = `may not go through the directory ${site.at('images')} (mode 0700, owner root:root)`;
    const closed = await checkOverNbd(image, { ...options, servedAs });
    expect(closed).toMatchObject({ kind: 'failed', why: expect.stringContaining(why) });
  });

  it('is not there any more', async () => {
    fs.rmSync(site.image.file);
    const why = `clients would not get the image: ${site.image.file} is not there`;
    expect(await check()).toMatchObject({ kind: 'failed', why });
  });
});

describe('an image with other bytes than were recorded', () => {
  it('has one flipped bit', async () => {
    const bytes = fs.readFileSync(site.image.file);
    bytes.writeUInt8(bytes.readUInt8(5_000_000) ^ 1, 5_000_000);
    fs.writeFileSync(site.image.file, bytes);
    const result = await check();
    expect(result).toMatchObject({ kind: 'failed', why: expect.stringContaining('the file has those bytes as well') });
  });

  it('is served with another byte than the file has, and it is said where', async () => {
    const bytes = fs.readFileSync(site.image.file);
    bytes.writeUInt8(bytes.readUInt8(5_000_000) ^ 1, 5_000_000);
    fs.writeFileSync(site.at('images/other.img'), bytes);
    site.fake('nbd-server', 'sed -i s/amd64.img/other.img/ "$2"; exec /usr/bin/nbd-server "$@"');
    expect(await check()).toMatchObject({
      kind: 'failed',
      why: expect.stringContaining('it differs from the file at byte 5000000'),
    });
  });

  it('was truncated', async () => {
    fs.truncateSync(site.image.file, 8192);
    const why = `nbd-server serves 8192 bytes of ${site.image.file}, which was written with ${site.image.size}`;
    expect(await check()).toMatchObject({ kind: 'failed', why });
  });
});

it('an image whose bytes are right and no file system does not mount', async () => {
  const bytes = noise(1_000_000);
  fs.writeFileSync(site.image.file, bytes);
  const image = { ...site.image, digest: sha256(bytes), size: bytes.length };
  const options = { server: NBD, mountPoint: site.mountPoint, timeout: 60_000, mounted: forever };
  expect(await checkOverNbd(image, options)).toMatchObject({
    kind: 'failed',
    why: expect.stringMatching(/^the image does not mount over NBD: mount: .*wrong fs type/),
  });
});

describe('what hangs is ended at the limit', () => {
  it('an nbd-server that does nothing', async () => {
    site.fake('nbd-server', 'exec sleep 1000');
    const why = 'an nbd-server of our own did not get ready within 1 s (check.timeout)';
    expect(await check({ timeout: 1000 })).toMatchObject({ kind: 'failed', why });
  });

  it('an nbd-server that takes the connection and says nothing', async () => {
    const program = `require("net").createServer().listen(Number(process.argv[1]), "127.0.0.1")`;
    const port = `"$(sed -n 's/^port = //p' "$2")"`;
    site.fake('nbd-server', `exec ${process.execPath} -e '${program}' ${port}`);
    const why = 'clients would not get the image: nbd-server does not answer: no answer within 2 s';
    expect(await check({ timeout: 4000 })).toMatchObject({ kind: 'failed', why });
  });

  it('an nbdfuse that does nothing', async () => {
    site.fake('nbdfuse', 'exec sleep 1000');
    const why = 'mounting it over NBD and reading the mount did not end within 10 s (check.timeout)';
    expect(await check({ timeout: 10_000 })).toMatchObject({ kind: 'failed', why });
  });

  it('a look at the mount, with the mount', async () => {
    let signal: AbortSignal | undefined;
    const mounted = (_: string, given: AbortSignal): Promise<void> => {
      signal = given;
      return forever();
    };
    expect(await check({ timeout: 10_000, mounted })).toMatchObject({
      kind: 'failed',
      why: expect.stringMatching(/^mounting it over NBD and reading the mount did not end within 10 s/),
    });
    expect(signal?.aborted).toBe(true);
  });
});

describe('what ends too early', () => {
  it('nbdfuse, while the mount is looked at', async () => {
    const mounted = async (root: string): Promise<void> => {
      const pid = /^\/proc\/(\d+)\//.exec(root)?.[1] ?? '';
      const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
      const nbdfuse = children.find((child) => fs.readFileSync(`/proc/${child}/comm`, 'utf8') === 'nbdfuse\n');
      process.kill(Number(nbdfuse), 'SIGKILL');
      await forever();
    };
    const why = expect.stringContaining('the mount over NBD ended while it was read');
    expect(await check({ mounted })).toMatchObject({ kind: 'failed', why });
  });

  it('the check, when it is told to stop', async () => {
    const stop = new AbortController();
    const mounted = (): Promise<void> => {
      stop.abort();
      return forever();
    };
    await expect(check({ mounted, signal: stop.signal })).rejects.toThrow(CancelledError);
    await expect(check({ signal: stop.signal })).rejects.toThrow(CancelledError);
  });
});

describe('what is missing here says nothing about the image', () => {
  it('nbd-server', async () => {
    site.onlyWith('nbdfuse');
    const why = 'cannot serve the image over NBD: nbd-server is not installed (apt-get install nbd-server)';
    expect(await check()).toEqual({ kind: 'skipped', why, took: {} });
  });

  it('nbdfuse, and the image was read whole before', async () => {
    site.onlyWith('nbd-server');
    const result = await check();
    expect(result).toMatchObject({ kind: 'skipped', why: expect.stringContaining('nbdfuse is not installed') });
    expect(result.took.read).toBeDefined();
  });

  it('the user that nbd-server shall be', async () => {
    const result = await check({ server: { user: 'no-such-user', group: null } });
    expect(result).toMatchObject({
      kind: 'skipped',
      why: expect.stringContaining('cannot start an nbd-server of our own'),
    });
  });

  it('an nbd-server that can be started', async () => {
    site.fake('nbd-server', 'echo "nbd-server: libgnutls.so.30 is missing" >&2; exit 127');
    expect(await check()).toMatchObject({
      kind: 'skipped',
      why: expect.stringContaining('libgnutls.so.30 is missing'),
    });
  });

  it('an nbdfuse that can be started', async () => {
    site.fake('nbdfuse', 'echo "nbdfuse: libnbd.so.0 is missing" >&2; exit 127');
    expect(await check()).toMatchObject({ kind: 'skipped', why: expect.stringContaining('libnbd.so.0 is missing') });
  });
});
