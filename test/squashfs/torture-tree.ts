import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** The block size that the tree's file sizes are about. */
export const BLOCK = 131_072;

/** Makes a tree with everything that squashfs can hold; the directory is empty before. */
export async function makeTortureTree(root: string): Promise<void> {
  files(root);
  links(root);
  await specials(root);
  names(root);
  directories(root);
  owners(root);
  attributes(root);
  times(root);
}

/** Text that shrinks, another one for each seed. */
export function text(seed: number, length: number): Buffer {
  let result = '';
  for (let i = seed; result.length < length; i++) result += `line ${i} of ${seed}: ${(i * 7919) % 10_007}\n`;
  return Buffer.from(result).subarray(0, length);
}

/** A path whose name is these bytes. */
export function bytesPath(root: string, name: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);
}

function files(root: string): void {
  const directory = path.join(root, 'files');
  fs.mkdirSync(directory);
  for (const size of [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17]) {
    fs.writeFileSync(path.join(directory, `random-${size}`), crypto.randomBytes(size));
    fs.writeFileSync(path.join(directory, `text-${size}`), text(size, size));
    fs.writeFileSync(path.join(directory, `text-${size}.again`), text(size, size));
    fs.writeFileSync(path.join(directory, `zeros-${size}`), Buffer.alloc(size));
  }
  for (let i = 0; i < 300; i++) fs.writeFileSync(path.join(directory, `small-${i}`), text(i, (i * 37) % 3000));
  sparse(path.join(directory, 'hole'), 10 * BLOCK + 5, []);
  sparse(path.join(directory, 'hole-at-start'), 10 * BLOCK, [9 * BLOCK + 7]);
  sparse(path.join(directory, 'hole-at-end'), 10 * BLOCK + 1, [0]);
  sparse(path.join(directory, 'holes'), 20 * BLOCK + 1, [BLOCK, 7 * BLOCK - 1, 20 * BLOCK]);
}

function sparse(file: string, size: number, data: readonly number[]): void {
  fs.writeFileSync(file, '');
  fs.truncateSync(file, size);
  const fd = fs.openSync(file, 'r+');
  for (const position of data) fs.writeSync(fd, Buffer.from('x'), 0, 1, position);
  fs.closeSync(fd);
}

function links(root: string): void {
  fs.mkdirSync(path.join(root, 'links/below'), { recursive: true });
  fs.linkSync(path.join(root, 'files/text-100'), path.join(root, 'links/below/hard'));
  fs.linkSync(path.join(root, 'files/text-100'), path.join(root, 'links/hard'));
  fs.linkSync(path.join(root, `files/random-${3 * BLOCK}`), path.join(root, 'links/hard-large'));
  fs.linkSync(path.join(root, 'files/random-0'), path.join(root, 'links/hard-empty'));
  fs.symlinkSync('nowhere', path.join(root, 'links/dangling'));
  fs.symlinkSync('x'.repeat(4000), path.join(root, 'links/long'));
  fs.symlinkSync(Buffer.from('a\xff\xfe\n', 'latin1'), path.join(root, 'links/bytes'));
  fs.symlinkSync('hard', path.join(root, 'links/symlink'));
  fs.linkSync(path.join(root, 'links/symlink'), path.join(root, 'links/symlink-again'));
  // mksquashfs 4.5 compares access times as well, and reading the target may change that: then it sees two symlinks
  const later = Date.now() / 1000 + 3600;
  fs.lutimesSync(path.join(root, 'links/symlink'), later, 1_600_000_000);
}

async function specials(root: string): Promise<void> {
  const directory = path.join(root, 'specials');
  fs.mkdirSync(directory);
  execFileSync('mkfifo', [path.join(directory, 'fifo')]);
  execFileSync('mknod', [path.join(directory, 'block'), 'b', '8', '1']);
  execFileSync('mknod', [path.join(directory, 'block-large'), 'b', '259', '1000000']);
  execFileSync('mknod', [path.join(directory, 'char'), 'c', '1', '3']);
  execFileSync('mknod', [path.join(directory, 'char-large'), 'c', '4000', '300']);
  fs.linkSync(path.join(directory, 'fifo'), path.join(directory, 'fifo-again'));
  fs.linkSync(path.join(directory, 'char'), path.join(directory, 'char-again'));
  // its name goes with the server, the other one stays; a socket's address is short
  const address = `/tmp/torture-${process.pid}.socket`;
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(address, resolve));
  fs.linkSync(address, path.join(directory, 'socket'));
  await new Promise((resolve) => server.close(resolve));
}

function names(root: string): void {
  const directory = path.join(root, 'names');
  fs.mkdirSync(directory);
  for (const name of ['\xff\xfe', 'new\nline', 'tab\t', '-dash', ' ', 'back\\slash', '"', '...', '.hidden', '\x01']) {
    fs.writeFileSync(bytesPath(directory, name), name, 'latin1');
  }
  fs.writeFileSync(path.join(directory, 'n'.repeat(255)), 'long');
  fs.writeFileSync(path.join(directory, 'ümläut'), 'utf-8');
  // an order by bytes is not one by letters
  for (const name of ['Z', 'a', 'a.b', 'a-b', 'ab', 'a~'])
    fs.mkdirSync(path.join(directory, 'order', name), { recursive: true });
}

function directories(root: string): void {
  fs.mkdirSync(path.join(root, 'empty'));
  fs.mkdirSync(path.join(root, 'deep', ...Array.from({ length: 60 }, (_, i) => `level-${i}`)), { recursive: true });
  const many = path.join(root, 'many');
  fs.mkdirSync(many);
  for (let i = 0; i < 1500; i++)
    fs.writeFileSync(path.join(many, `${i}-${'long'.repeat(10)}`), i % 3 === 0 ? String(i) : '');
  for (let i = 0; i < 150; i++) fs.mkdirSync(path.join(root, 'directories', `d${i}`, 'inner'), { recursive: true });
  fs.chmodSync(path.join(root, 'empty'), 0o1777);
  fs.chmodSync(path.join(root, 'files/text-1'), 0o6711);
  fs.chmodSync(path.join(root, 'files/text-0'), 0);
}

function owners(root: string): void {
  const directory = path.join(root, 'owners');
  fs.mkdirSync(directory);
  for (let i = 0; i < 1200; i++) {
    const file = path.join(directory, String(i));
    fs.writeFileSync(file, '');
    fs.chownSync(file, 100_000 + i, 4_000_000_000 - i);
  }
}

function attributes(root: string): void {
  const directory = path.join(root, 'attributes');
  fs.mkdirSync(directory);
  const shared = `0x${'5a'.repeat(500)}`;
  for (let i = 0; i < 40; i++) {
    const file = path.join(directory, `file-${i}`);
    fs.writeFileSync(file, String(i));
    setAttribute(file, 'user.number', `0x${i.toString(16).padStart(4, '0')}`);
    setAttribute(file, 'user.shared', shared);
  }
  const one = path.join(directory, 'file-0');
  setAttribute(one, 'trusted.empty', '0x');
  setAttribute(one, 'security.other', '0x0001ff');
  setAttribute(one, 'security.capability', '0x0100000200200000000000000000000000000000');
  setAttribute(path.join(directory, 'file-1'), 'user.long', `0x${'ab'.repeat(3000)}`);
  setAttribute(directory, 'user.directory', '0x01');
  setAttribute(root, 'trusted.root', '0x02');
  setAttribute(path.join(root, 'links/dangling'), 'trusted.link', '0x03');
  setAttribute(path.join(root, 'specials/char'), 'trusted.device', '0x04');
  setAttribute(path.join(root, 'specials/fifo'), 'trusted.fifo', '0x05');
  setAttribute(path.join(root, 'specials/socket'), 'trusted.socket', '0x06');
  setAttribute(path.join(root, `files/hole`), 'user.hole', '0x07');
}

function setAttribute(file: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, file]);
}

function times(root: string): void {
  const directory = path.join(root, 'times');
  fs.mkdirSync(directory);
  for (const [name, seconds] of [
    ['1960', -300_000_000.5],
    ['1970', 0],
    ['2039', 2_200_000_000],
    ['2105', 4_290_000_000],
    ['2110', 4_417_977_600],
  ] as const) {
    fs.writeFileSync(path.join(directory, name), name);
    fs.utimesSync(path.join(directory, name), seconds, seconds);
  }
}
