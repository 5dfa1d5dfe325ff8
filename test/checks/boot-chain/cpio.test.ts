import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, CpioReader } from '../../../src/checks/boot-chain/cpio.ts';
import { cpio, entry, type Lies } from './archives.ts';

function read(
  data: Buffer,
  pieces: readonly number[] = [],
): { entries: CpioEntry[]; reader: CpioReader; taken: number } {
  const entries: CpioEntry[] = [];
  const reader = new CpioReader((one) => entries.push(one));
  let taken = 0;
  let at = 0;
  for (const length of [...pieces, data.length]) {
    const piece = data.subarray(at, at + length);
    at += piece.length;
    const took = reader.push(piece);
    taken += took;
    if (took < piece.length) break;
  }
  return { entries, reader, taken };
}

it('tells name, type and size of what is in it', () => {
  const { entries, reader } = read(cpio({ 'kernel/x': 'abcde', init: '→ usr/init' }));
  expect(entries).toEqual([
    { name: 'kernel/x', type: 'file', size: 5, links: 1 },
    { name: 'init', type: 'link', size: 8, links: 1 },
  ]);
  expect(reader).toMatchObject({ archives: 1, isBetween: true });
});

it('reads the same however the bytes come', () => {
  const data = Buffer.concat([cpio({ a: 'x', 'b/longer': 'yy' }), Buffer.alloc(24), cpio({ c: 'z'.repeat(700) })]);
  const whole = read(data);
  expect(whole.entries.map(({ name }) => name)).toEqual(['a', 'b/longer', 'c']);
  expect(whole.reader.archives).toBe(2);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 60 }), (pieces) => {
      const { entries, taken } = read(data, pieces);
      expect(entries).toEqual(whole.entries);
      expect(taken).toBe(data.length);
    }),
  );
});

it('stops where something else follows an archive', () => {
  const archive = cpio({ a: 'x' });
  expect(read(Buffer.concat([archive, Buffer.from('\x1f\x8b…')])).taken).toBe(archive.length);
  expect(read(Buffer.from('no archive')).taken).toBe(0);
});

it('is in the middle of an archive until its trailer has come', () => {
  const data = Buffer.concat([entry('a', 'abcdefgh'), entry('TRAILER!!!', '')]);
  for (let length = 1; length < data.length; length++) {
    expect(read(data.subarray(0, length)).reader.isBetween, `after ${length} bytes`).toBe(false);
  }
  expect(read(data).reader.isBetween).toBe(true);
});

describe('a header that lies', () => {
  it.each<[string, Lies]>([
    ['a name without end', { nameSize: 0xffffffff }],
    ['no name', { nameSize: 0 }],
    ['an old magic', { magic: '070707' }],
    ['no number', { magic: '070701-0000' }],
  ])('with %s is refused', (_, lies) => {
    const data = Buffer.concat([entry('a', 'x', lies), cpio({})]);
    expect(() => read(data)).toThrow(/cpio/);
  });

  it('with 4 GB of data takes no memory', () => {
    const { reader, taken } = read(Buffer.concat([entry('a', 'x', { size: 0xffffffff }), cpio({})]));
    expect(taken).toBeGreaterThan(512);
    expect(reader.isBetween).toBe(false);
  });
});
