import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { clientsOn, listenerOn } from '../../../src/serve/nbd/listener.ts';

/** A directory for `--root` with nbd-server's config in it, and the real nbd-server, on a free port of this machine. */
export class RealServer {
  readonly root: string;
  readonly port: number;

  private constructor(root: string, port: number) {
    this.root = root;
    this.port = port;
  }

  static async prepare(): Promise<RealServer> {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'nbd-'));
    // the server becomes user nbd, who has to get in
    fs.chmodSync(root, 0o755);
    const server = new RealServer(root, await freePort());
    for (const directory of ['etc/nbd-server/conf.d', 'etc/ltsp', 'opt/ltsp/images']) {
      fs.mkdirSync(path.join(root, directory), { recursive: true });
    }
    const generic = ['[generic]', 'user = nbd', 'group = nbd', `port = ${server.port}`, 'listenaddr = 127.0.0.1'];
    generic.push('allowlist = true', `includedir = ${server.at('etc/nbd-server/conf.d')}`);
    server.write('etc/nbd-server/config', `${generic.join('\n')}\n`);
    server.write('opt/ltsp/images/first.img', 'first image '.repeat(100_000));
    server.export('first');
    return server;
  }

  at(file: string): string {
    return path.join(this.root, file);
  }

  write(file: string, text: string): void {
    fs.writeFileSync(this.at(file), text);
  }

  /** Writes the section of an export of this image. */
  export(name: string, image = 'first'): void {
    const section = `[/opt/ltsp/${name}]\nexportname = ${this.at(`opt/ltsp/images/${image}.img`)}\nreadonly = true\n`;
    this.write(`etc/nbd-server/conf.d/ltsp_${name}.conf`, section);
  }

  async start(): Promise<void> {
    execFileSync('nbd-server', ['-C', this.at('etc/nbd-server/config'), '-p', this.at('pid')]);
    // it goes into the background before it listens
    for (let looks = 0; listenerOn(this.port).kind !== 'nbd-server'; looks++) {
      if (looks === 200) throw new Error('nbd-server did not start');
      await delay(25);
    }
  }

  /** Ends the main process alone, and waits until nobody listens. Without one nothing happens. */
  async endMaster(): Promise<void> {
    for (let looks = 0; looks < 200; looks++) {
      const master = listenerOn(this.port);
      if (master.kind !== 'nbd-server') return;
      endProcess(master.pid);
      await delay(25);
    }
  }

  async stop(): Promise<void> {
    for (let looks = 0; looks < 200; looks++) {
      const master = listenerOn(this.port);
      const pids = [
        ...(master.kind === 'nbd-server' ? [master.pid] : []),
        ...clientsOn(this.port).map(({ pid }) => pid),
      ];
      if (pids.length === 0) break;
      for (const pid of pids) endProcess(pid);
      await delay(25);
    }
    fs.rmSync(this.root, { recursive: true });
  }
}

export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}
