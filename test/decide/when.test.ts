import { describe, expect, test } from 'vitest';
import { urgentChange, when } from '../../src/decide/when.ts';

const END = 1000;
const quiet = { quietUntil: END, inQuietHours: 'build', atOnce: null, built: 'not built' } as const;

describe('an image that is due', () => {
  test.each([
    ['outside quiet hours is built and published', { ...quiet, quietUntil: null }, 'build and publish'],
    ['that is built already is published after them', { ...quiet, quietUntil: null, built: 'built' }, 'publish'],
    ['in quiet hours is built', quiet, 'build'],
    ['that is urgent is built and published in them', { ...quiet, atOnce: 'openssl' }, 'build and publish'],
    ['that is urgent and built is published in them', { ...quiet, atOnce: 'openssl', built: 'built' }, 'publish'],
    ['that is urgent does not wait either', { ...quiet, atOnce: 'x', inQuietHours: 'wait' }, 'build and publish'],
  ] as const)('%s', (_, timing, what) => {
    expect(when(timing)).toEqual({ kind: 'now', what });
  });

  test.each([
    ['that is built waits for their end', { ...quiet, built: 'built' }, 'built, to be published'],
    ['is not built in them where it is to wait', { ...quiet, inQuietHours: 'wait' }, 'to be built'],
    [
      'that was built before it was to wait',
      { ...quiet, inQuietHours: 'wait', built: 'built' },
      'built, to be published',
    ],
  ] as const)('%s', (_, timing, reason) => {
    expect(when(timing)).toEqual({ kind: 'later', until: END, reason });
  });
});

describe('a change of packages', () => {
  const before = { 'libssl3:amd64': '3.0', openssl: '3.0', vim: '9.0' };

  test.each([
    ['upgraded', { ...before, openssl: '3.1' }, ['openssl*'], 'openssl'],
    ['upgraded, with an architecture', { ...before, 'libssl3:amd64': '3.1' }, ['libssl?'], 'libssl3'],
    ['added', { ...before, 'linux-image-6.1': '6.1' }, ['linux-image-*'], 'linux-image-6.1'],
    ['removed', { openssl: '3.0', vim: '9.0' }, ['libssl3'], 'libssl3'],
  ])('is urgent when one of the list was %s', (_, after, urgent, name) => {
    expect(urgentChange(before, after, urgent)).toBe(name);
  });

  test.each([
    ['only others changed', { ...before, vim: '9.1' }, ['openssl*']],
    ['a pattern is only a part of the name', { ...before, vim: '9.1' }, ['vi', 'im']],
    ['a dot in it is a dot', { ...before, 'linux-6x1': '1' }, ['linux-6.1']],
    ['nothing changed', before, ['*']],
    ['there is no list', { ...before, openssl: '3.1' }, []],
  ])('is not when %s', (_, after, urgent) => {
    expect(urgentChange(before, after, urgent)).toBeUndefined();
  });
});
