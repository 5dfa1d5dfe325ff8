import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Tidings } from '../../../src/report/notices/notice.ts';
import { notifyPrograms } from '../../../src/report/notices/programs.ts';
import { siteWith } from '../../config/site.ts';
import { writeProgram } from './receivers.ts';

const NOTIFY = 'etc/ltsp/autoimage.d/notify.d';
const never = new AbortController().signal;
const tidings: Tidings = {
  key: 'k1',
  kind: 'published',
  name: 'amd64',
  id: '20261127T120000Z',
  message: 'a "quoted"\nmessage; $(touch x)',
  at: '2026-11-27T12:00:00.000Z',
};

test('a program gets the event as JSON on its standard input and in its environment', async () => {
  const root = siteWith({});
  const names = ['EVENT', 'NAME', 'ID', 'MESSAGE', 'AT', 'KEY'].map((name) => `"$LTSP_AUTOIMAGE_${name}"`);
  writeProgram(path.join(root, NOTIFY, 'lamp'), `cat > ${root}/stdin; printf '%s|' ${names.join(' ')} > ${root}/env`);
  const { receivers } = notifyPrograms(root);
  expect(receivers.map(({ id }) => id)).toEqual(['notify.d/lamp']);
  await receivers[0]?.deliver(tidings, never);
  const { kind, ...rest } = tidings;
  expect(JSON.parse(fs.readFileSync(path.join(root, 'stdin'), 'utf8'))).toMatchObject({ event: kind, ...rest });
  expect(fs.readFileSync(path.join(root, 'env'), 'utf8')).toBe(
    `published|amd64|20261127T120000Z|${tidings.message}|${tidings.at}|k1|`,
  );
});

test('a program need not read', async () => {
  const root = siteWith({});
  writeProgram(path.join(root, NOTIFY, 'deaf'), 'exit 0');
  const message = 'x'.repeat(100_000);
  await notifyPrograms(root).receivers[0]?.deliver({ ...tidings, message }, never);
});

test('one that fails is told of with its last lines', async () => {
  const root = siteWith({});
  writeProgram(path.join(root, NOTIFY, 'lamp'), 'echo one; echo "no lamp" >&2; exit 3');
  const delivered = notifyPrograms(root).receivers[0]?.deliver(tidings, never);
  await expect(delivered).rejects.toThrow('it ended with status 3: one; no lamp');
});

test('those that others than root can change are not run', () => {
  const root = siteWith({});
  writeProgram(path.join(root, NOTIFY, 'open'), 'exit 0');
  fs.chmodSync(path.join(root, NOTIFY, 'open'), 0o777);
  const { receivers, skipped } = notifyPrograms(root);
  expect(receivers).toEqual([]);
  expect(skipped).toMatchObject([{ name: 'open', kind: 'not-safe' }]);
});

test('without a directory there are none', () => {
  expect(notifyPrograms(siteWith({}))).toEqual({ receivers: [], skipped: [] });
});
