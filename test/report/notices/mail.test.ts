import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { mailOf, mailReceiver } from '../../../src/report/notices/mail.ts';
import type { Tidings } from '../../../src/report/notices/notice.ts';
import { siteWith } from '../../config/site.ts';
import { fakeSendmail } from './receivers.ts';

const never = new AbortController().signal;
const tidings: Tidings = {
  key: 'k',
  kind: 'rejected',
  name: 'amd64',
  id: null,
  message: 'the new image of amd64 was rejected:\nnaïve\x1b[31m',
  at: '2026-11-27T12:00:00.000Z',
};

/** Headers by name, unfolded, and the text. */
function read(mail: string): { headers: Map<string, string>; text: string } {
  const [head = '', body = ''] = mail.split('\n\n', 2);
  const lines = head.replaceAll('\n ', ' ').split('\n');
  const headers = new Map(
    lines.map((line): [string, string] => [line.split(': ')[0] ?? '', line.replace(/^.*?: /, '')]),
  );
  return { headers, text: Buffer.from(body, 'base64').toString() };
}

test('a mail says to whom, of what and when, and has the message on one line', () => {
  const { headers, text } = read(mailOf('a@example.org, root', tidings));
  expect(headers.get('To')).toBe('a@example.org, root');
  expect(headers.get('Subject')).toBe(`ltsp-autoimage: amd64 has an image that failed its checks (${os.hostname()})`);
  expect(headers.get('Date')).toBe('Fri, 27 Nov 2026 12:00:00 +0000');
  expect(headers.get('Auto-Submitted')).toBe('auto-generated');
  expect(text.split('\n')[0]).toBe('the new image of amd64 was rejected: naïve?[31m');
});

test('a name adds no header, and its letters stay what they are', () => {
  const name = `Schüler\nBcc: all@example.org ${'ü'.repeat(60)}`;
  const { headers } = read(mailOf('root', { ...tidings, name }));
  expect(headers.has('Bcc')).toBe(false);
  const words = (headers.get('Subject') ?? '').split(' ');
  expect(words.filter((word) => word.length > 75)).toEqual([]);
  const subject = words.map((word) => Buffer.from(/^=\?UTF-8\?B\?(.*)\?=$/.exec(word)?.[1] ?? '', 'base64').toString());
  expect(subject.join('')).toContain(`Schüler Bcc: all@example.org ${'ü'.repeat(60)} has`);
});

test('sendmail gets the mail, with the addresses from its headers', async () => {
  const directory = siteWith({});
  fakeSendmail(directory, `echo "$@" > ${directory}/args; cat > ${directory}/mail`);
  await mailReceiver('root').deliver(tidings, never);
  expect(fs.readFileSync(path.join(directory, 'args'), 'utf8')).toBe('-t -i\n');
  expect(fs.readFileSync(path.join(directory, 'mail'), 'utf8')).toBe(mailOf('root', tidings));
});

test('a sendmail that fails is told of with what it said; one that does not read is not', async () => {
  const directory = siteWith({});
  fakeSendmail(directory, 'echo "no relay" >&2; exit 75');
  await expect(mailReceiver('root').deliver(tidings, never)).rejects.toThrow(/status 75: no relay/);
  fakeSendmail(directory, 'exit 0');
  await mailReceiver('root').deliver({ ...tidings, message: 'x'.repeat(1_000_000) }, never);
});
