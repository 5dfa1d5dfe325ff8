import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const RECEIVER = `
import socket, sys
name = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind('\\0' + name[1:] if name.startswith('@') else name)
print('bound', flush=True)
receiver.settimeout(20)
sys.stdout.write(receiver.recv(65536).decode())
`;

/** Runs `send` while a program listens at a unix datagram socket; gives the one datagram that it received. */
export async function withReceiver(kind: 'path' | 'abstract', send: (address: string) => void): Promise<string> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'datagram-'));
  const address = kind === 'path' ? path.join(directory, 'notify') : `@${directory}/notify`;
  const child = spawn('python3', ['-c', RECEIVER, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    let said = '';
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const bound = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
    child.stdout.on('data', (data) => {
      said += data;
    });
    await Promise.race([bound, ended]);
    send(address);
    await ended;
    return said.replace('bound\n', '');
  } finally {
    child.kill();
    fs.rmSync(directory, { recursive: true });
  }
}
