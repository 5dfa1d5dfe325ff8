import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** What the fake prints and its exit status. */
export type Answer = { text: string; status: number };

/**
 * A `systemctl` that is first on PATH and asks the test what to do, so that a server it "starts" is the test's.
 */
export class FakeSystemctl {
  /** The arguments of each call. */
  readonly calls: string[] = [];
  readonly #server: net.Server;
  readonly #path = process.env.PATH;

  constructor(directory: string, answer: (call: string) => Promise<Answer>) {
    const socket = path.join(directory, 'systemctl.sock');
    this.#server = net.createServer({ allowHalfOpen: true }, (connection) => {
      connection.once('data', (data) => {
        const call = data.toString().trim();
        this.calls.push(call);
        answer(call).then(
          ({ text, status }) => connection.end(`${status}\n${text}`),
          (error: unknown) => connection.end(`99\n${String(error)}`),
        );
      });
    });
    this.#server.listen(socket);
    const bin = path.join(directory, 'bin');
    fs.mkdirSync(bin);
    const client = [
      `const s = require('node:net').connect(${JSON.stringify(socket)});`,
      "let all = ''; s.on('data', (d) => { all += d; });",
      "s.on('end', () => { const at = all.indexOf('\\n'); const status = Number(all.slice(0, at));",
      '(status === 0 ? process.stdout : process.stderr).write(all.slice(at + 1)); process.exitCode = status; s.end(); });',
      "s.write(process.argv.slice(2).join(' ') + '\\n');",
    ];
    const script = `#!${process.execPath}\n${client.join('\n')}\n`;
    fs.writeFileSync(path.join(bin, 'systemctl'), script, { mode: 0o755 });
    process.env.PATH = `${bin}:${this.#path}`;
  }

  close(): void {
    process.env.PATH = this.#path;
    this.#server.close();
  }
}
