import { crc32 } from 'node:zlib';

/** Bytes of a piece that has a checksum of its own; also what is read at once when a file is hashed. */
export const PIECE = 2 ** 21;

/**
 * CRC-32 of each piece of a file, in order: enough to find that a piece has rotted without reading the whole file. As
 * text it is base64 of 32 bits each, little-endian: 6 bytes for each 2 MiB.
 */
export class Sums {
  readonly #done: number[] = [];
  #crc = 0;
  #filled = 0;

  /** The next bytes of the file, as many as there are. */
  update(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PIECE - this.#filled);
      this.#crc = crc32(part, this.#crc);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === PIECE) this.#endPiece();
    }
  }

  /** To be called once, at the end of the file. */
  text(): string {
    if (this.#filled > 0) this.#endPiece();
    const bytes = Buffer.alloc(this.#done.length * 4);
    for (const [index, sum] of this.#done.entries()) bytes.writeUInt32LE(sum, index * 4);
    return bytes.toString('base64');
  }

  #endPiece(): void {
    this.#done.push(this.#crc);
    this.#crc = 0;
    this.#filled = 0;
  }
}

/** The checksums of a file's pieces, from their text. */
export function sumsOf(text: string): number[] {
  const bytes = Buffer.from(text, 'base64');
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => bytes.readUInt32LE(index * 4));
}

/** Whether a piece of a file has the checksum it had. */
export function hasSum(piece: Buffer, sum: number): boolean {
  return crc32(piece) === sum;
}
