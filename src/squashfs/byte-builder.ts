/** Bytes that grow at their end, little-endian. */
export type ByteBuilder = {
  length: () => number;
  /** Adds so many zeros and says where they begin; write to `room()` there. */
  extend: (count: number) => number;
  /** The bytes and what is reserved behind them; another call of `extend` may move them. */
  room: () => Buffer;
  /** The bytes so far. */
  bytes: () => Buffer;
};

export function createByteBuilder(): ByteBuilder {
  let buffer: Buffer = Buffer.alloc(65_536);
  let length = 0;
  return {
    length: () => length,
    extend: (count) => {
      const start = length;
      length += count;
      if (length > buffer.length) {
        const larger = Buffer.alloc(Math.max(2 * buffer.length, length));
        buffer.copy(larger, 0, 0, start);
        buffer = larger;
      }
      return start;
    },
    room: () => buffer,
    bytes: () => buffer.subarray(0, length),
  };
}
