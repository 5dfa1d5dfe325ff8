import fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sendDatagram } from '../../src/system/notify.ts';
import { withReceiver } from './datagram-receiver.ts';

describe('sendDatagram', () => {
  it.each(['path', 'abstract'] as const)('reaches a socket by its %s', async (kind) => {
    expect(await withReceiver(kind, (address) => sendDatagram(address, 'STATUS=Müller'))).toBe('STATUS=Müller');
  });

  it('names what went wrong as node:fs does', () => {
    expect(() => sendDatagram('/nonexistent/notify', 'x')).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => sendDatagram('relative', 'x')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => sendDatagram(`/${'x'.repeat(107)}`, 'x')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('leaves no descriptor open', () => {
    const open = (): number => fs.readdirSync('/proc/self/fd').length;
    const before = open();
    for (let i = 0; i < 50; i += 1) expect(() => sendDatagram('/nonexistent/notify', 'x')).toThrow('ENOENT');
    expect(open()).toBe(before);
  });
});
