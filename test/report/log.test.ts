import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, type LogOptions } from '../../src/report/log.ts';

let directory: string;
let file: string;
let fd: number;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'log-'));
  file = path.join(directory, 'log');
  fd = fs.openSync(file, 'a');
});
afterEach(() => {
  fs.closeSync(fd);
  fs.rmSync(directory, { recursive: true });
});

const written = (): string => fs.readFileSync(file, 'utf8');
const logTo = (destination: LogOptions['destination'], level?: LogOptions['level']): ReturnType<typeof createLog> =>
  createLog({ destination, fd, ...(level === undefined ? {} : { level }) });

describe('createLog', () => {
  it('writes JSON lines with level, time, event, fields and message, at once', async () => {
    const log = await logTo('json');
    log.warn('image.rejected', { name: 'amd64', id: '20251127T043000Z' }, 'amd64: sbin/init is missing');
    const lines = written().split('\n');
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      event: 'image.rejected',
      name: 'amd64',
      id: '20251127T043000Z',
      msg: 'amd64: sbin/init is missing',
    });
  });

  it('writes for eyes on a terminal: time, level and sentence, without escapes of others', async () => {
    const log = await logTo('terminal');
    log.info('image.published', { name: 'amd64', digest: 'abc' }, 'amd64: image is live\x1b[2J');
    log.error('chroot.problem', {}, 'cannot read\n/opt/ltsp');
    expect(written().replaceAll(/\d\d:\d\d:\d\d/g, 'HH:MM:SS')).toMatchInlineSnapshot(`
      "[HH:MM:SS] INFO: amd64: image is live?[2J
      [HH:MM:SS] ERROR: cannot read /opt/ltsp
      "
    `);
  });

  it.each(['json', 'terminal'] as const)('leaves out what is below the level (%s)', async (destination) => {
    const info = await logTo(destination);
    info.debug('chroot.waiting', {}, 'a detail');
    expect(written()).toBe('');
    const debug = await logTo(destination, 'debug');
    debug.debug('chroot.waiting', {}, 'a detail');
    expect(written()).toContain('a detail');
  });

  it('writes nothing to none', async () => {
    const log = await logTo('none', 'debug');
    log.error('build.failed', {}, 'cannot build amd64');
    expect(written()).toBe('');
  });
});
