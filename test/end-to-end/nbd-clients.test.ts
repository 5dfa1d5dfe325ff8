import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NbdClient } from '../../src/serve/nbd/client.ts';
import { RealServer } from '../serve/nbd/real-server.ts';
import { makeSmallChroot } from './small-chroot.ts';

const program = fileURLToPath(new URL('../../dist/ltsp-update-image.js', import.meta.url));
const inBackground = promisify(execFile);

/** Against hanging alone: the machine may have much else to do. */
const TIMEOUT = 60_000;

let server: RealServer;
beforeEach(async () => {
  server = await RealServer.prepare();
  // loopback is not in LTSP's own
  server.write('etc/ltsp/nbd-server.allow', '127.0.0.0/8\n');
  // whom images are given to
  server.write('etc/group', execFileSync('getent', ['group', 'nbd'], { encoding: 'utf8' }));
  // nothing but its use keeps a generation
  server.write('etc/ltsp/ltsp-autoimage.toml', '[keep]\ngenerations = 1\ngrace = "0s"\n');
});
afterEach(() => server.stop());

const imageOf = (name: string): string => server.at(`opt/ltsp/images/${name}.img`);
const digestOf = (file: string): string => createHash('sha256').update(fs.readFileSync(file)).digest('hex');
const message = (name: string, text: string): void => server.write(`opt/ltsp/${name}/etc/motd`, text);

function makeChroot(name: string, motd: string): void {
  const files = { 'etc/motd': motd, 'usr/data': randomBytes(4_000_000) };
  makeSmallChroot(server.at(`opt/ltsp/${name}`), files);
}

/** Runs the program beside what goes on here, to its success. */
async function update(...args: string[]): Promise<string> {
  const { stderr } = await inBackground(process.execPath, [program, `--root=${server.root}`, ...args]);
  return stderr;
}

async function connect(name: string): Promise<{ client: NbdClient; size: number }> {
  const client = await NbdClient.connect({ host: '127.0.0.1', port: server.port }, { timeout: TIMEOUT });
  const { size } = await client.open(server.at(`opt/ltsp/${name}`));
  return { client, size };
}

async function digestOver(client: NbdClient, size: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of client.pieces(size)) hash.update(piece);
  return hash.digest('hex');
}

/** What a client that connects now gets. */
async function digestOfNewClient(name: string): Promise<string> {
  const { client, size } = await connect(name);
  try {
    return await digestOver(client, size);
  } finally {
    client.close();
  }
}

/** One client that reads its export over and over again on one connection. */
class Reader {
  readonly digests: string[] = [];
  #end = false;
  #woken: (() => void)[] = [];
  readonly #ended: Promise<void>;

  constructor(client: NbdClient, size: number) {
    this.#ended = this.#read(client, size);
    // told of in `stop` and `readsOn`
    this.#ended.catch(() => {});
  }

  /** Resolves once it has read all of the export in a round that begins after now. Throws when it cannot read. */
  async readsOn(): Promise<void> {
    const enough = this.digests.length + 2;
    while (this.digests.length < enough) {
      await Promise.race([this.#ended, new Promise<void>((resolve) => this.#woken.push(resolve))]);
    }
  }

  async stop(): Promise<void> {
    this.#end = true;
    await this.#ended;
  }

  async #read(client: NbdClient, size: number): Promise<void> {
    try {
      while (!this.#end) {
        this.digests.push(await digestOver(client, size));
        for (const wake of this.#woken.splice(0)) wake();
      }
    } finally {
      client.close();
    }
  }
}

/**
 * Does what a person does who is told that nbd-server could not take up the new export: SIGHUP breaks nbd-server 3.24 at
 * times. Its main process alone is replaced, so that who is connected stays so.
 */
async function obey(stderr: string): Promise<void> {
  if (stderr === '') return;
  expect(stderr).toMatch(/^warning: fat: cannot let nbd-server serve \S+\/opt\/ltsp\/fat: .* \(run: .*\)\n$/);
  await server.endMaster();
  await server.start();
}

it('a client reads one image through 20 rebuilds, 5 reverts and a new export; new clients get the new image', async () => {
  makeChroot('amd64', 'motd 0');
  await update('amd64');
  await server.start();
  const first = digestOf(imageOf('amd64'));
  const { ino } = fs.statSync(imageOf('amd64'));
  const { client, size } = await connect('amd64');
  const reader = new Reader(client, size);
  const seen = new Set([first]);
  try {
    for (let build = 1; build <= 20; build++) {
      message('amd64', `motd ${build}`);
      expect(await update('amd64')).toBe('');
      const current = digestOf(imageOf('amd64'));
      expect(seen).not.toContain(current);
      seen.add(current);
      expect(await digestOfNewClient('amd64')).toBe(current);
      await reader.readsOn();
      if (build % 4 === 0) {
        const former = digestOf(`${imageOf('amd64')}.old`);
        expect(await update('-r', 'amd64')).toBe('');
        expect(await digestOfNewClient('amd64')).toBe(former);
        await reader.readsOn();
      }
      if (build === 10) {
        makeChroot('fat', 'another');
        await obey(await update('fat'));
        expect(await digestOfNewClient('fat')).toBe(digestOf(imageOf('fat')));
        await reader.readsOn();
      }
    }
    // what it reads was kept for it, among few
    const generations = server.at('opt/ltsp/images/.generations/amd64');
    const images = fs.readdirSync(generations).filter((name) => name.endsWith('.img'));
    expect(images.map((name) => fs.statSync(path.join(generations, name)).ino)).toContain(ino);
    expect(images.length).toBeLessThan(6);
  } finally {
    await reader.stop();
  }
  expect(new Set(reader.digests)).toEqual(new Set([first]));
}, 600_000);
