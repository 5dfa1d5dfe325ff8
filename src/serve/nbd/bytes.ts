import type { Socket } from 'node:net';
import { NbdError } from './nbd-error.ts';

/** Takes exact numbers of bytes off a socket, one wait at a time. The socket rests while nothing is asked for. */
export class Bytes {
  readonly #socket: Socket;
  readonly #timeout: number;
  #chunks: Buffer[] = [];
  #length = 0;
  #failure: NbdError | undefined;
  #waiting: { resolve: (data: Buffer) => void; reject: (error: NbdError) => void; count: number } | undefined;

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
    socket.pause();
  }

  /** @throws NbdError `ended` or `timeout` when they do not come; every later call throws the same */
  take(count: number): Promise<Buffer> {
    if (this.#failure !== undefined && this.#length < count) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, count };
      this.#socket.setTimeout(this.#timeout);
      this.#socket.resume();
      this.#settle();
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
  }

  #settle(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#length < waiting.count) return;
    const all = Buffer.concat(this.#chunks);
    const rest = all.subarray(waiting.count);
    this.#chunks = [rest];
    this.#length = rest.length;
    this.#waiting = undefined;
    this.#socket.setTimeout(0);
    this.#socket.pause();
    waiting.resolve(all.subarray(0, waiting.count));
  }
}
