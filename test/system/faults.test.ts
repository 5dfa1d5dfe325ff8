import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { parseFaults } from '../../src/system/faults.ts';
import { program } from '../end-to-end/server.ts';

describe('the faults that a test wants', () => {
  it('are points with what happens there, at the first time or at the one that is named', () => {
    expect(parseFaults('image.rename=kill,journal.done=ENOSPC@3')).toEqual({
      faults: [
        { point: 'image.rename', kind: 'kill', nth: 1 },
        { point: 'journal.done', kind: 'ENOSPC', nth: 3 },
      ],
      log: null,
    });
    expect(parseFaults('log:/tmp/reached')).toEqual({ faults: [], log: '/tmp/reached' });
  });

  it('are none where nothing is said', () => {
    expect(parseFaults('')).toBeNull();
  });

  it.each(['image.renam=kill', 'image.rename', 'image.rename=EPERM', 'image.rename=kill@0', 'image.rename=kill,', 'x'])(
    'are refused with %s: a test must not try nothing without knowing',
    (text) => {
      expect(() => parseFaults(text)).toThrow(UsageError);
    },
  );

  it('end the program before it does anything when they make no sense', () => {
    const env = { ...process.env, LTSP_AUTOIMAGE_FAULT: 'image.renam=kill' };
    const ran = spawnSync(process.execPath, [program, 'status', '--root=/nowhere'], { encoding: 'utf8', env });
    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain('cannot use LTSP_AUTOIMAGE_FAULT: there is no fault "image.renam=kill"');
  });
});
