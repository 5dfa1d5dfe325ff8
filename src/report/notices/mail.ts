import { run } from '../../system/processes.ts';
import { printable } from '../printable.ts';
import { type Tidings, titleOf } from './notice.ts';
import type { Receiver } from './receiver.ts';

/** Milliseconds that sendmail may take: it only queues the mail. */
const LIMIT = 60_000;

/** Whoever the mail server gives the mails of these addresses to. @param to addresses, with commas between them */
export function mailReceiver(to: string): Receiver {
  return {
    id: 'mail',
    deliver: async (tidings, signal) => {
      // -i: a line with a dot alone does not end the mail
      await run('sendmail', ['-t', '-i'], { input: mailOf(to, tidings), timeout: LIMIT, signal });
    },
  };
}

/** RFC 5322, with MIME for what is not ASCII. */
export function mailOf(to: string, tidings: Tidings): string {
  const { kind, message, at } = tidings;
  const headers = [
    `To: ${to}`,
    `Subject: ${headerText(`ltsp-autoimage: ${printable(titleOf(tidings))}`)}`,
    `Date: ${new Date(at).toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
    // no vacation message is to answer
    'Auto-Submitted: auto-generated',
    `X-LTSP-Autoimage-Event: ${kind}`,
  ];
  const text = [
    printable(message),
    '',
    'How things are: ltsp-autoimage status',
    'What happened:  ltsp-autoimage history',
    '',
  ].join('\n');
  return `${[...headers, '', base64Lines(text)].join('\n')}\n`;
}

/** RFC 2047: an encoded word has 75 characters at most, whole characters of the text each. */
function headerText(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && text.length <= 200) return text;
  const words: string[] = [''];
  for (const character of text) {
    const last = words.at(-1) ?? '';
    if (Buffer.byteLength(last + character) <= 45) words[words.length - 1] = last + character;
    else words.push(character);
  }
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join('\n ');
}

function base64Lines(text: string): string {
  return (
    Buffer.from(text)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\n');
}
