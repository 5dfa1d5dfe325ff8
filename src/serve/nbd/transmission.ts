import type { Socket } from 'node:net';
import type { Bytes } from './bytes.ts';
import { NbdError } from './nbd-error.ts';

const REQUEST_MAGIC = 0x25609513;
const SIMPLE_REPLY_MAGIC = 0x67446698;
const COMMAND = { read: 0, disconnect: 2 } as const;

/** Large enough that requests cost nothing; `PIECE * WINDOW` is what a reader holds in memory. */
const PIECE = 2 ** 20;
const WINDOW = 8;

type Waiting = {
  offset: number;
  length: number;
  resolve: (data: Buffer) => void;
  reject: (error: unknown) => void;
};

/**
 * Reads on an opened export ("NBD protocol, Transmission phase", simple replies). Any number may be under way; the server
 * answers in the order it likes, and the cookie tells which read an answer is for.
 */
export class Transmission {
  readonly #socket: Socket;
  readonly #bytes: Bytes;
  readonly #waiting = new Map<bigint, Waiting>();
  #receiving: 'no' | 'yes' = 'no';
  #cookie = 0n;

  constructor(socket: Socket, bytes: Bytes) {
    this.#socket = socket;
    this.#bytes = bytes;
  }

  /** NBD_CMD_READ; see NbdClient.read */
  read(offset: number, length: number): Promise<Buffer> {
    const cookie = ++this.#cookie;
    return new Promise((resolve, reject) => {
      this.#waiting.set(cookie, { offset, length, resolve, reject });
      this.#socket.write(request(COMMAND.read, cookie, offset, length));
      if (this.#receiving === 'no') void this.#receive();
    });
  }

  /** The first `size` bytes in order, with a bounded number of reads under way ahead of who takes them. */
  async *pieces(size: number): AsyncGenerator<Buffer> {
    const ahead: Promise<Buffer>[] = [];
    let next = 0;
    for (;;) {
      while (next < size && ahead.length < WINDOW) {
        const piece = this.read(next, Math.min(PIECE, size - next));
        // the first of them to fail is the one that is told; the others fail with it
        piece.catch(() => undefined);
        ahead.push(piece);
        next += PIECE;
      }
      const first = ahead.shift();
      if (first === undefined) return;
      yield await first;
    }
  }

  /** Takes answers off the connection as long as reads wait for some. */
  async #receive(): Promise<void> {
    this.#receiving = 'yes';
    try {
      while (this.#waiting.size > 0) await this.#answer();
    } catch (error) {
      const waiting = [...this.#waiting.values()];
      this.#waiting.clear();
      for (const { reject } of waiting) reject(error);
    } finally {
      this.#receiving = 'no';
    }
  }

  async #answer(): Promise<void> {
    const head = await this.#bytes.take(16);
    const cookie = head.readBigUInt64BE(8);
    const read = this.#waiting.get(cookie);
    if (head.readUInt32BE(0) !== SIMPLE_REPLY_MAGIC || read === undefined) {
      const failure = new NbdError('protocol', 'the server answered a read with something else');
      // where the next answer begins is not known any more
      this.#bytes.fail(failure);
      throw failure;
    }
    const error = head.readUInt32BE(4);
    if (error !== 0) {
      this.#waiting.delete(cookie);
      const what = `${read.length} bytes at ${read.offset}`;
      read.reject(new NbdError('failed', `the server cannot read ${what}: error ${error}`));
      return;
    }
    const data = await this.#bytes.take(read.length);
    this.#waiting.delete(cookie);
    read.resolve(data);
  }
}

/** NBD_CMD_DISC, which has no answer. */
export function goodbye(): Buffer {
  return request(COMMAND.disconnect, 0n, 0, 0);
}

function request(command: number, cookie: bigint, offset: number, length: number): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(REQUEST_MAGIC, 0);
  head.writeUInt16BE(command, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length, 24);
  return head;
}
