import { createRequire } from 'node:module';
import os from 'node:os';

type Libc = {
  socket: (domain: number, type: number, protocol: number) => number;
  setsockopt: (fd: number, level: number, name: number, value: Buffer, length: number) => number;
  sendto: (fd: number, data: Buffer, length: number, flags: number, address: Buffer, addressLength: number) => number;
  close: (fd: number) => number;
  errno: () => number;
};

const AF_UNIX = 1;
// Of every architecture that Debian and Node share; MIPS and SPARC differ.
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const MSG_NOSIGNAL = 0x4000;

/** sockaddr_un.sun_path, unix(7) */
const LONGEST_PATH = 108;

let loaded: Libc | undefined;

/** Loaded with the first call: a program that is not a service does not pay for it. */
function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load('libc.so.6');
  const sendto = library.func(
    'int64_t sendto(int fd, const uint8_t *data, size_t length, int flags, const uint8_t *address, uint32_t size)',
  );
  loaded = {
    socket: library.func('int socket(int domain, int type, int protocol)'),
    setsockopt: library.func('int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)'),
    sendto: (...args) => Number(sendto(...args)),
    close: library.func('int close(int fd)'),
    errno: () => koffi.errno(),
  };
  return loaded;
}

/**
 * Sends one datagram to a unix socket (unix(7)), which Node's own modules cannot. Waits up to a second when the receiver
 * is behind.
 * @param address an absolute path, or `@name` for one in the abstract namespace
 * @throws an error with `code` as of node:fs
 */
export function sendDatagram(address: string, text: string): void {
  const { socket, setsockopt, sendto, close } = libc();
  const to = socketAddress(address);
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError('socket', address);
  try {
    const timeout = Buffer.alloc(16); // struct timeval of a 64-bit Linux: seconds, microseconds
    timeout.writeBigInt64LE(1n);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, timeout.length);
    const data = Buffer.from(text);
    if (sendto(fd, data, data.length, MSG_NOSIGNAL, to, to.length) < 0) throw systemError('sendto', address);
  } finally {
    close(fd);
  }
}

/** struct sockaddr_un: the family, then the path with a NUL at its end, or a NUL and the abstract name without one. */
function socketAddress(address: string): Buffer {
  const abstract = address.startsWith('@');
  const path = Buffer.from(abstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (!(abstract || address.startsWith('/')) || path.length > LONGEST_PATH) {
    throw Object.assign(new Error(`EINVAL: '${address}' is no address of a unix socket`), { code: 'EINVAL' });
  }
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, path]);
}

function systemError(call: string, address: string): NodeJS.ErrnoException {
  const number = libc().errno();
  const code = Object.entries(os.constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
  return Object.assign(new Error(`${code}: ${call} '${address}'`), { code, errno: -number, syscall: call });
}
