/** How a part of an initrd is compressed, and what its kernel must have been built with to read it. */
export type Compression = { name: string; config: string; by: 'zlib' | Tool };

/** A program that unpacks from standard input to standard output; `package_` is the Debian package that brings it. */
export type Tool = { command: string; args: readonly string[]; package_: string };

/** More memory than any initrd needs: one that was made to need more is no reason to take it from the server. */
const XZ: Tool = { command: 'xz', args: ['-dc', '--memlimit-decompress=256MiB'], package_: 'xz-utils' };

/** Told by the first bytes, as in the kernel's lib/decompress.c. */
const MAGICS: readonly { magic: string; compression: Compression }[] = [
  { magic: '1f8b', compression: { name: 'gzip', config: 'CONFIG_RD_GZIP', by: 'zlib' } },
  { magic: '1f9e', compression: { name: 'gzip', config: 'CONFIG_RD_GZIP', by: 'zlib' } },
  {
    magic: '28b52ffd',
    compression: {
      ...{ name: 'zstd', config: 'CONFIG_RD_ZSTD' },
      by: { command: 'zstd', args: ['-dcq', '--memory=256MB'], package_: 'zstd' },
    },
  },
  { magic: 'fd377a585a00', compression: { name: 'xz', config: 'CONFIG_RD_XZ', by: XZ } },
  { magic: '5d0000', compression: { name: 'lzma', config: 'CONFIG_RD_LZMA', by: XZ } },
  {
    magic: '02214c18',
    compression: {
      ...{ name: 'lz4', config: 'CONFIG_RD_LZ4' },
      by: { command: 'lz4', args: ['-dcq'], package_: 'lz4' },
    },
  },
  {
    magic: '425a68',
    compression: {
      ...{ name: 'bzip2', config: 'CONFIG_RD_BZIP2' },
      by: { command: 'bzip2', args: ['-dc'], package_: 'bzip2' },
    },
  },
  {
    magic: '894c5a4f000d0a1a0a',
    compression: {
      ...{ name: 'lzo', config: 'CONFIG_RD_LZO' },
      by: { command: 'lzop', args: ['-dcq'], package_: 'lzop' },
    },
  },
];

/** Bytes that tell. */
export const LONGEST_MAGIC = 9;

/** Null when what begins so is nothing that a kernel unpacks. */
export function compressionOf(head: Buffer): Compression | null {
  const hex = head.toString('hex');
  return MAGICS.find(({ magic }) => hex.startsWith(magic))?.compression ?? null;
}
