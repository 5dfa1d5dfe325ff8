import { describe, expect, it } from 'vitest';
import { notifyReloading, notifySystemd, watchdogInterval } from '../../src/report/systemd-notify.ts';
import { withReceiver } from '../system/datagram-receiver.ts';

describe('notifySystemd', () => {
  it('tells the socket that systemd names', async () => {
    const received = await withReceiver('path', (address) => {
      expect(notifySystemd('READY=1\nSTATUS=looking after 3 chroots', { NOTIFY_SOCKET: address })).toBe(true);
    });
    expect(received).toBe('READY=1\nSTATUS=looking after 3 chroots');
  });

  it('gives the time of a reload on the clock that systemd compares with', async () => {
    const before = process.hrtime.bigint() / 1000n;
    const received = await withReceiver('path', (address) => {
      expect(notifyReloading({ NOTIFY_SOCKET: address })).toBe(true);
    });
    const [, time = '0'] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(received) ?? [];
    expect(BigInt(time)).toBeGreaterThanOrEqual(before);
    expect(BigInt(time)).toBeLessThanOrEqual(process.hrtime.bigint() / 1000n);
  });

  it.each([undefined, '', '/nonexistent/notify', 'vsock:2:1234', `/${'x'.repeat(200)}`])(
    'goes on when nobody listens (%s)',
    (address) => expect(notifySystemd('READY=1', { NOTIFY_SOCKET: address })).toBe(false),
  );
});

describe('watchdogInterval', () => {
  it.each([
    [{}, null],
    [{ WATCHDOG_USEC: '30000000' }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }, null],
    [{ WATCHDOG_USEC: '0' }, null],
    [{ WATCHDOG_USEC: 'soon' }, null],
    [{ WATCHDOG_USEC: '-5' }, null],
  ])('with %o is %s', (env, milliseconds) => expect(watchdogInterval(env)).toBe(milliseconds));
});
