import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { RejectedError } from '../../errors.ts';
import { type NbdAddress, NbdClient, type NbdOptions } from '../../serve/nbd/client.ts';
import type { NbdError } from '../../serve/nbd/nbd-error.ts';

/** An image file as it was recorded: SHA-256 in lower-case hex, size in bytes. */
export type RecordedImage = { file: string; digest: string; size: number };

/**
 * Reads an export whole, over one connection, and holds it against what was recorded of its file.
 * @throws RejectedError when it has other bytes; NbdError when the server does not give them
 */
export async function readWhole(
  address: NbdAddress,
  exportName: string,
  image: RecordedImage,
  options: NbdOptions,
): Promise<void> {
  const client = await NbdClient.connect(address, options);
  try {
    const { size } = await client.open(exportName);
    if (size !== image.size) {
      throw new RejectedError(`nbd-server serves ${size} bytes of ${image.file}, which was written with ${image.size}`);
    }
    const hash = createHash('sha256');
    for await (const piece of client.pieces(size)) hash.update(piece);
    if (hash.digest('hex') === image.digest) return;
    throw new RejectedError(await otherBytes(client, image));
  } finally {
    client.close();
  }
}

/** Where the bytes differ: on the disk already, or only for those that nbd-server serves. */
async function otherBytes(client: NbdClient, image: RecordedImage): Promise<string> {
  const what = `what a client reads of ${image.file} over NBD has not the recorded digest ${image.digest}`;
  const at = await firstDifference(client, image);
  return at === null ? `${what}: the file has those bytes as well` : `${what}: it differs from the file at byte ${at}`;
}

/** null where the file on the disk is what nbd-server serves. */
async function firstDifference(client: NbdClient, { file, size }: RecordedImage): Promise<number | null> {
  const handle = await fs.promises.open(file, 'r');
  try {
    let offset = 0;
    for await (const served of client.pieces(size)) {
      const { buffer: own } = await handle.read(Buffer.alloc(served.length), 0, served.length, offset);
      if (!served.equals(own)) return offset + served.findIndex((byte, at) => byte !== own[at]);
      offset += served.length;
    }
    return null;
  } finally {
    await handle.close();
  }
}

/** What it means for clients that the server did not do as it was asked, in words. */
export function troubleInWords(error: NbdError): string {
  if (error.trouble === 'ended') return `nbd-server ended the connection: ${error.message}`;
  if (error.trouble === 'failed') return `nbd-server could not read the image: ${error.message}`;
  if (error.trouble === 'timeout') return `nbd-server does not answer: ${error.message}`;
  return error.message;
}
