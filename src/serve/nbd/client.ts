import net from 'node:net';
import { Bytes } from './bytes.ts';
import { NbdError, type NbdTrouble } from './nbd-error.ts';
import { goodbye, Transmission } from './transmission.ts';

export type NbdAddress = { host: string; port: number };

export type NbdOptions = {
  /** Milliseconds that the server may take to accept the connection, and to send anything of each answer. */
  timeout: number;
  /** Ends the connection; whatever runs on it then throws NbdError `stopped`. */
  signal?: AbortSignal | undefined;
};

/** An export as the server opened it: size in bytes, transmission flags ("NBD protocol, Transmission flags"). */
export type OpenedExport = { size: number; flags: number };

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const REPLY_MAGIC = 0x3e889045565a9n;
const FIXED_NEWSTYLE = 1;
const NO_ZEROES = 2;

const OPTION = { abort: 2, list: 3, go: 7 } as const;
const REPLY = { ack: 1, server: 2, info: 3 } as const;
const INFO_EXPORT = 0;

/** Longer ones are nothing that an option is answered with: names have 4096 bytes at most. */
const LONGEST_REPLY = 65_536;

/** Replies to one option: a name for each export when they are listed; and milliseconds for all of them. */
const MOST_REPLIES = 10_000;
const OPTION_LIMIT = 60_000;

/** "NBD protocol, Option reply types": errors have the highest bit set. */
const ERRORS: Record<number, NbdTrouble> = {
  2147483650: 'refused',
  2147483653: 'tls',
  2147483654: 'unknown',
};

/**
 * One connection to an NBD server, by the fixed newstyle negotiation ("NBD protocol, Fixed newstyle negotiation"). It is
 * never made anew by itself: a server opens the file for each connection, and a second one could see another image.
 * Options are asked one after the other; reads may overlap.
 */
export class NbdClient {
  readonly #socket: net.Socket;
  readonly #bytes: Bytes;
  readonly #release: () => void;
  #transmission: Transmission | undefined;

  private constructor(socket: net.Socket, options: NbdOptions) {
    this.#socket = socket;
    this.#bytes = new Bytes(socket, options.timeout);
    const stop = (): void => this.#bytes.fail(new NbdError('stopped', 'the connection to nbd-server was stopped'));
    if (options.signal?.aborted === true) stop();
    else options.signal?.addEventListener('abort', stop, { once: true });
    this.#release = () => options.signal?.removeEventListener('abort', stop);
  }

  /** @throws NbdError `unreachable`, `timeout`, `ended`, `protocol` or `stopped` */
  static async connect(address: NbdAddress, options: NbdOptions): Promise<NbdClient> {
    const client = new NbdClient(await connected(address, options), options);
    try {
      await client.#greet();
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * The names of all exports (NBD_OPT_LIST).
   * @throws NbdError; `refused` where the server keeps them to itself (nbd-server's `allowlist`)
   */
  async list(): Promise<string[]> {
    const names: string[] = [];
    for await (const { type, data } of this.#ask(OPTION.list, Buffer.alloc(0), 'list its exports')) {
      if (type !== REPLY.server) continue;
      const length = data.length < 4 ? 0 : data.readUInt32BE(0);
      names.push(data.toString('utf8', 4, 4 + length));
    }
    return names;
  }

  /**
   * Opens an export (NBD_OPT_GO); reads are possible from here on. NBD_OPT_INFO would not do: nbd-server says size 0.
   * @throws NbdError; `unknown` and `refused` tell whether the server has such an export
   */
  async open(name: string): Promise<OpenedExport> {
    const bytes = Buffer.from(name);
    const data = Buffer.alloc(4 + bytes.length + 2);
    data.writeUInt32BE(bytes.length, 0);
    bytes.copy(data, 4);
    let opened: OpenedExport | undefined;
    for await (const reply of this.#ask(OPTION.go, data, `open the export ${name}`)) {
      if (reply.type !== REPLY.info || reply.data.length < 12 || reply.data.readUInt16BE(0) !== INFO_EXPORT) continue;
      opened = { size: Number(reply.data.readBigUInt64BE(2)), flags: reply.data.readUInt16BE(10) };
    }
    if (opened === undefined) throw new NbdError('protocol', `the server opened ${name} without saying its size`);
    this.#transmission = new Transmission(this.#socket, this.#bytes);
    return opened;
  }

  /**
   * Bytes of the opened export. May be called again before the first has its answer: the server works on all of them.
   * @param length 32 MiB at most, which every server takes
   * @throws NbdError; `failed` when the server could not read them, and other reads go on
   */
  read(offset: number, length: number): Promise<Buffer> {
    return this.#opened().read(offset, length);
  }

  /**
   * The first `size` bytes of the opened export in order, in pieces of 1 MiB with 8 reads under way.
   * @throws NbdError as `read` does; the connection is of no more use then
   */
  pieces(size: number): AsyncGenerator<Buffer> {
    return this.#opened().pieces(size);
  }

  /** Says goodbye (NBD_CMD_DISC, NBD_OPT_ABORT) and closes. May be called twice. */
  close(): void {
    this.#release();
    if (this.#socket.destroyed) return;
    const last = this.#transmission === undefined ? option(OPTION.abort, Buffer.alloc(0)) : goodbye();
    this.#socket.end(last, () => this.#socket.destroy());
  }

  #opened(): Transmission {
    if (this.#transmission === undefined) throw new Error('internal error: no export is open on this connection');
    return this.#transmission;
  }

  async #greet(): Promise<void> {
    const greeting = await this.#bytes.take(18);
    const flags = greeting.readUInt16BE(16);
    const fixed = (flags & FIXED_NEWSTYLE) !== 0;
    if (greeting.readBigUInt64BE(0) !== NBDMAGIC || greeting.readBigUInt64BE(8) !== IHAVEOPT || !fixed) {
      throw new NbdError('protocol', 'what answers there is no NBD server, or one older than its fixed newstyle');
    }
    const answer = Buffer.alloc(4);
    answer.writeUInt32BE(FIXED_NEWSTYLE | (flags & NO_ZEROES));
    this.#socket.write(answer);
  }

  /** Sends an option and gives its replies up to the last, NBD_REP_ACK. */
  async *#ask(code: number, data: Buffer, what: string): AsyncGenerator<{ type: number; data: Buffer }> {
    this.#socket.write(option(code, data));
    const end = performance.now() + OPTION_LIMIT;
    for (let replies = 1; ; replies++) {
      // each byte in time, and never an end of them
      if (replies > MOST_REPLIES || performance.now() > end) {
        throw new NbdError('protocol', `the server does not come to an end with what it says when asked to ${what}`);
      }
      const head = await this.#bytes.take(20);
      const type = head.readUInt32BE(12);
      const length = head.readUInt32BE(16);
      if (head.readBigUInt64BE(0) !== REPLY_MAGIC || head.readUInt32BE(8) !== code || length > LONGEST_REPLY) {
        throw new NbdError('protocol', 'the server answered an option with something else');
      }
      const reply = await this.#bytes.take(length);
      if (type === REPLY.ack) return;
      if (type >= 0x80000000) throw refusal(type, reply, what);
      yield { type, data: reply };
    }
  }
}

function refusal(type: number, reply: Buffer, what: string): NbdError {
  const said = reply.length === 0 ? `reply 0x${type.toString(16)}` : reply.toString('utf8');
  return new NbdError(ERRORS[type] ?? 'protocol', `the server does not ${what}: ${said}`);
}

function option(code: number, data: Buffer): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(IHAVEOPT, 0);
  head.writeUInt32BE(code, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

function connected({ host, port }: NbdAddress, { timeout, signal }: NbdOptions): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, noDelay: true });
    const fail = (trouble: NbdTrouble, why: string): void => {
      signal?.removeEventListener('abort', stop);
      socket.destroy();
      reject(new NbdError(trouble, `cannot reach an NBD server at ${host} port ${port}: ${why}`));
    };
    const stop = (): void => fail('stopped', 'it was stopped');
    const broken = (error: Error): void => fail('unreachable', error.message);
    const silent = (): void => fail('timeout', `no answer within ${timeout / 1000} s`);
    socket.once('error', broken);
    socket.setTimeout(timeout, silent);
    socket.once('connect', () => {
      signal?.removeEventListener('abort', stop);
      socket.off('error', broken);
      socket.off('timeout', silent);
      socket.setTimeout(0);
      resolve(socket);
    });
    if (signal?.aborted === true) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}
