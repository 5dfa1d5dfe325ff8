import { createHash } from 'node:crypto';
import dgram from 'node:dgram';

/** When something happened, in microseconds of the clock that all processes of a machine share (CLOCK_MONOTONIC). */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** `asked` and `opened`: between the two the server has opened the file. */
export type Fetched = { asked: number; opened: number; done: number } & (
  | { kind: 'whole'; digest: string; size: number }
  | { kind: 'refused'; why: string }
);

export type Fetch = {
  port: number;
  file: string;
  /** Bytes of data in a packet (RFC 2348). */
  blockSize: number;
  /** Milliseconds until a packet is sent again, and how often that is done. */
  patience?: { wait: number; tries: number };
};

const OPCODE = { read: 1, data: 3, acknowledge: 4, error: 5, options: 6 };

/** Reads a file from a TFTP server on loopback, as boot ROMs do (RFC 1350, 2347, 2348). */
export async function fetchFile({
  port,
  file,
  blockSize,
  patience = { wait: 1000, tries: 5 },
}: Fetch): Promise<Fetched> {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024 });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const asked = now();
  let opened = 0;
  const hash = createHash('sha256');
  let size = 0;
  let block = 1;
  let length = 512;
  let server: number | undefined;
  let last: Buffer = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Fetched>((resolve) => {
      const end = (result: { kind: 'whole'; digest: string; size: number } | { kind: 'refused'; why: string }): void =>
        resolve({ asked, opened, done: now(), ...result });
      const send = (packet: Buffer, tries = patience.tries): void => {
        last = packet;
        socket.send(packet, server ?? port, '127.0.0.1');
        clearTimeout(timer);
        timer = setTimeout(() => {
          if (tries === 0) end({ kind: 'refused', why: 'the server is silent' });
          else send(packet, tries - 1);
        }, patience.wait);
      };
      socket.on('message', (packet, from) => {
        // each transfer has a port of its own (RFC 1350, 4); another one answers a question that was asked twice
        server ??= from.port;
        if (from.port !== server) return;
        if (opened === 0) opened = now();
        const code = packet.readUInt16BE(0);
        if (code === OPCODE.error) end({ kind: 'refused', why: packet.toString('utf8', 4, packet.length - 1) });
        else if (code === OPCODE.options && size === 0) {
          const [, value] = packet.toString('latin1', 2).split('\0');
          length = Number(value);
          send(acknowledgement(0));
        } else if (code === OPCODE.data && packet.readUInt16BE(2) === block) {
          hash.update(packet.subarray(4));
          size += packet.length - 4;
          send(acknowledgement(block));
          // after 65535 it begins anew
          block = (block + 1) & 0xffff;
          if (packet.length - 4 < length) end({ kind: 'whole', digest: hash.digest('hex'), size });
        } else if (code === OPCODE.data) socket.send(last, server, '127.0.0.1');
      });
      send(request(file, blockSize));
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

function request(file: string, blockSize: number): Buffer {
  return Buffer.concat([Buffer.from([0, OPCODE.read]), Buffer.from(`${file}\0octet\0blksize\0${blockSize}\0`)]);
}

function acknowledgement(block: number): Buffer {
  const packet = Buffer.from([0, OPCODE.acknowledge, 0, 0]);
  packet.writeUInt16BE(block, 2);
  return packet;
}
