import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type NoticeMemory,
  readNoticeMemory,
  toldAfter,
  writeNoticeMemory,
} from '../../../src/report/notices/memory.ts';
import type { Notice } from '../../../src/report/notices/notice.ts';
import { siteWith } from '../../config/site.ts';

type Short = [kind: Notice['kind'], state: string, name?: string];

/** Which of these notices are told, one after the other. */
function told(...notices: Short[]): boolean[] {
  let memory: NoticeMemory['told'] = {};
  return notices.map(([kind, state, name = 'amd64']) => {
    const after = toldAfter(memory, { kind, name, id: null, message: '', state });
    memory = after ?? memory;
    return after !== null;
  });
}

describe('a notice', () => {
  test.each<[string, Short[], boolean[]]>([
    [
      'of one state comes once',
      [
        ['rejected', 'a'],
        ['rejected', 'a'],
      ],
      [true, false],
    ],
    [
      'of another state comes',
      [
        ['rejected', 'a'],
        ['rejected', 'b'],
      ],
      [true, true],
    ],
    [
      'of another chroot comes',
      [
        ['stuck', 'a'],
        ['stuck', 'a', 'i386'],
      ],
      [true, true],
    ],
    [
      'of another kind comes',
      [
        ['stuck', 'a'],
        ['rejected', 'a'],
      ],
      [true, true],
    ],
    [
      'that all is well comes after trouble',
      [
        ['rejected', 'a'],
        ['well-again', ''],
      ],
      [true, true],
    ],
    [
      'that all is well comes once',
      [
        ['stuck', 'a'],
        ['well-again', ''],
        ['well-again', ''],
      ],
      [true, true, false],
    ],
    [
      'that all is well is none without trouble',
      [
        ['published', 'a'],
        ['well-again', ''],
      ],
      [true, false],
    ],
    [
      'that all is well is of one chroot',
      [
        ['stuck', 'a'],
        ['well-again', '', 'i386'],
      ],
      [true, false],
    ],
    [
      'of trouble comes again after it was over',
      [
        ['stuck', 'a'],
        ['well-again', ''],
        ['stuck', 'a'],
      ],
      [true, true, true],
    ],
    [
      'of an image comes once, trouble or not',
      [
        ['published', 'a'],
        ['stuck', 'x'],
        ['well-again', ''],
        ['published', 'a'],
      ],
      [true, true, true, false],
    ],
    [
      'of quarantine is none after the rejection',
      [
        ['rejected', 'a'],
        ['quarantined', 'a'],
      ],
      [true, false],
    ],
    [
      'of quarantine is none after it was taken back',
      [
        ['reverted', 'a'],
        ['quarantined', 'a'],
      ],
      [true, false],
    ],
    [
      'of quarantine comes for inputs of earlier',
      [
        ['rejected', 'a'],
        ['quarantined', 'b'],
      ],
      [true, true],
    ],
  ])('%s', (_, notices, expected) => {
    expect(told(...notices)).toEqual(expected);
  });
});

test('what is remembered is read again', () => {
  const file = path.join(siteWith({}), 'state/notices.json');
  expect(readNoticeMemory(file)).toEqual({ told: {}, outbox: [] });
  const tidings = {
    key: 'k',
    kind: 'stuck',
    name: 'amd64',
    id: null,
    message: 'm',
    at: '2026-11-27T12:00:00Z',
  } as const;
  const memory = { told: { amd64: { stuck: 'x' } }, outbox: [{ receiver: 'mail', tidings }] };
  writeNoticeMemory(file, memory);
  expect(readNoticeMemory(file)).toEqual(memory);
});

test.each(['', '{', '[]', '{"told":{"a":{"unknown":"x"}},"outbox":[]}'])('a memory that says %s is none', (text) => {
  const file = path.join(siteWith({}), 'notices.json');
  fs.writeFileSync(file, text);
  expect(readNoticeMemory(file)).toEqual({ told: {}, outbox: [] });
});
