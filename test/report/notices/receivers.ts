import fs from 'node:fs';
import http from 'node:http';
import type net from 'node:net';
import path from 'node:path';
import { onTestFinished } from 'vitest';

export type Heard = { method: string; path: string; headers: http.IncomingHttpHeaders; body: string };

/** What a web service does with a request: answers with a status, with bytes that are no HTTP, or not at all. */
export type Manner = number | 'garbage' | 'never' | 'endless';

/** A web service on loopback, which ends with the test. */
export class WebService {
  readonly heard: Heard[] = [];
  /** For each request the next one; the last stays. */
  manners: Manner[];
  #server: http.Server;
  #wake: (() => void)[] = [];

  private constructor(manners: Manner[]) {
    this.manners = manners;
    this.#server = http.createServer((request, response) => void this.#answer(request, response));
  }

  static async start(...manners: Manner[]): Promise<WebService> {
    const service = new WebService(manners);
    await new Promise<void>((resolve) => service.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => service.stop());
    return service;
  }

  get address(): string {
    const address = this.#server.address() as net.AddressInfo;
    return `http://127.0.0.1:${address.port}`;
  }

  /** Resolves when so many requests have come in whole. */
  async hears(count: number): Promise<Heard[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.heard;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const manner = this.manners.length > 1 ? this.manners.shift() : this.manners[0];
    const { method = '', url = '', headers } = request;
    if (manner === 'garbage') request.socket.end('\x00 as you like it\r\n\r\n');
    else if (manner === 'endless') {
      const more = (): void =>
        void (response.destroyed || response.write('x'.repeat(65_536), () => setImmediate(more)));
      more();
    } else if (manner !== 'never') response.writeHead(manner ?? 200, { location: '/elsewhere' }).end('{"ok":');
    this.heard.push({ method, path: url, headers, body });
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** An executable file. */
export function writeProgram(file: string, script: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

/** A sendmail first on PATH, for the rest of the test, that does what `script` says. */
export function fakeSendmail(directory: string, script: string): void {
  const former = process.env.PATH;
  onTestFinished(() => {
    process.env.PATH = former;
  });
  process.env.PATH = `${directory}:${former}`;
  writeProgram(path.join(directory, 'sendmail'), script);
}
