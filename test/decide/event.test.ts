import { expect, it } from 'vitest';
import { type Cause, describeCause, isAsked } from '../../src/decide/event.ts';

it.each<[Cause, string]>([
  [{ kind: 'packages', path: 'var/lib/dpkg/status' }, 'a package changed (var/lib/dpkg/status)'],
  [{ kind: 'path', path: 'etc/hostname' }, 'etc/hostname changed'],
  [{ kind: 'config', path: '/etc/ltsp/x' }, 'the config changed (/etc/ltsp/x)'],
  [{ kind: 'trigger', force: 'force' }, 'the flag file was touched'],
  [{ kind: 'command', force: 'if changed' }, 'it was asked for'],
  [{ kind: 'schedule' }, 'the nightly look'],
  [{ kind: 'start' }, 'the daemon started'],
  [{ kind: 'appeared' }, 'the chroot appeared'],
  [{ kind: 'look' }, 'the regular look found a change'],
  [{ kind: 'again' }, 'it changed while it was built'],
])('%o is put in words', (cause, words) => {
  expect(describeCause(cause)).toBe(words);
});

it('only a flag file and a command are asked for by a person', () => {
  const asked = (kind: 'trigger' | 'command') => isAsked({ kind, force: 'if changed' });
  expect([asked('trigger'), asked('command')]).toEqual([true, true]);
  const others: Cause[] = [{ kind: 'schedule' }, { kind: 'start' }, { kind: 'look' }, { kind: 'path', path: 'x' }];
  expect(others.filter(isAsked)).toEqual([]);
});
