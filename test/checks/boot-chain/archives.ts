import { execFileSync } from 'node:child_process';
import zlib from 'node:zlib';

const FILE = 0o100644;
const LINK = 0o120777;

/** A cpio archive as `cpio -o -H newc` writes it, with its trailer and padding. `→ target` makes a symlink. */
export function cpio(files: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(files).map(([name, content]) =>
    content.startsWith('→ ') ? entry(name, content.slice(2), { mode: LINK }) : entry(name, content),
  );
  return padded(Buffer.concat([...entries, entry('TRAILER!!!', '')]), 512);
}

/** Fields of a header that are not what the entry has. */
export type Lies = { mode?: number; size?: number; nameSize?: number; magic?: string };

export function entry(name: string, content: string, { mode = FILE, size, nameSize, magic = '070701' }: Lies = {}) {
  const data = Buffer.from(content);
  const nameBytes = Buffer.from(`${name}\0`);
  const fields = [...[1, mode, 0, 0, 1, 0, size ?? data.length], ...[0, 0, 0, 0, nameSize ?? nameBytes.length, 0]];
  const header = magic + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), nameBytes]), 4), padded(data, 4)]);
}

export function padded(data: Buffer, to: number): Buffer {
  return Buffer.concat([data, Buffer.alloc((to - (data.length % to)) % to)]);
}

const by = (command: string, ...args: string[]) => {
  return (data: Buffer): Buffer => execFileSync(command, args, { input: data, maxBuffer: 1e9 });
};

/** In every way that kernels unpack; made as initramfs-tools and dracut do. */
export const COMPRESSIONS: Readonly<Record<string, (data: Buffer) => Buffer>> = {
  none: (data) => data,
  gzip: (data) => zlib.gzipSync(data),
  zstd: by('zstd', '-qc'),
  xz: by('xz', '-c', '--check=crc32'),
  lzma: by('xz', '-c', '--format=lzma'),
  lz4: by('lz4', '-lqc'),
  bzip2: by('bzip2', '-c'),
  lzo: by('lzop', '-qc'),
};
