import type { Socket } from 'node:net';
import { NbdError } from './nbd-error.ts';

/** As much may come unasked before the socket has to rest. */
const AHEAD = 2 ** 20;

type Waiting = {
  resolve: (data: Buffer) => void;
  reject: (error: NbdError) => void;
  data: Buffer;
  filled: number;
};

/** Takes exact numbers of bytes off a socket, one wait at a time. The socket rests while much is there that nobody asks for. */
export class Bytes {
  readonly #socket: Socket;
  readonly #timeout: number;
  /** What came and was not asked for yet. */
  #chunks: Buffer[] = [];
  #length = 0;
  #failure: NbdError | undefined;
  #waiting: Waiting | undefined;

  /**
   * @param socket a connected one
   * @param timeout milliseconds that the other side may be silent while bytes are waited for
   */
  constructor(socket: Socket, timeout: number) {
    this.#socket = socket;
    this.#timeout = timeout;
    socket.on('data', (chunk: Buffer) => this.#add(chunk));
    socket.on('error', (error) => this.fail(new NbdError('ended', `the connection broke: ${error.message}`)));
    socket.on('close', () => this.fail(new NbdError('ended', 'the server closed the connection')));
    socket.on('timeout', () => this.fail(new NbdError('timeout', `no answer within ${timeout / 1000} s`)));
  }

  /** @throws NbdError `ended` or `timeout` when they do not come; every later call throws the same */
  take(count: number): Promise<Buffer> {
    if (this.#failure !== undefined && this.#length < count) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, data: Buffer.allocUnsafe(count), filled: 0 };
      this.#settle();
      if (this.#waiting === undefined) return;
      this.#socket.setTimeout(this.#timeout);
      this.#socket.resume();
    });
  }

  /** Ends the connection and whoever waits for bytes; the first failure stays. */
  fail(failure: NbdError): void {
    this.#failure ??= failure;
    this.#socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(this.#failure);
  }

  #add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    this.#settle();
    if (this.#waiting === undefined && this.#length >= AHEAD) this.#socket.pause();
  }

  #settle(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    while (waiting.filled < waiting.data.length) {
      const [chunk] = this.#chunks;
      if (chunk === undefined) return;
      const copied = chunk.copy(waiting.data, waiting.filled);
      waiting.filled += copied;
      this.#length -= copied;
      if (copied === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(copied);
    }
    this.#waiting = undefined;
    this.#socket.setTimeout(0);
    waiting.resolve(waiting.data);
  }
}
