import type { NotifyConfig } from '../../config/config.ts';
import type { NoticeKind } from '../../config/notice-kinds.ts';
import { printable } from '../printable.ts';
import { eventOf, type Tidings, titleOf } from './notice.ts';

/** A request with a JSON body. */
export type WebhookRequest = { url: URL; method: 'POST' | 'PUT'; body: object };

type Shape = (address: URL, tidings: Tidings) => WebhookRequest;

/** How each kind of service wants to be told. */
export const SHAPES: Readonly<Record<NotifyConfig['webhookShape'], Shape>> = {
  plain: (url, tidings) => ({ url, method: 'POST', body: eventOf(tidings) }),

  /** ntfy, "Publish as JSON": to the server itself, with the topic, which is the last part of the address, in the body. */
  ntfy: (address, tidings) => {
    const url = new URL(address);
    const parts = url.pathname.split('/').filter((part) => part !== '');
    const topic = decodeURIComponent(parts.pop() ?? '');
    url.pathname = `/${parts.join('/')}`;
    const { kind, message } = tidings;
    const body = { topic, title: titleOf(tidings), message, priority: PRIORITY[kind], tags: [TAG[kind]] };
    return { url, method: 'POST', body };
  },

  /**
   * Matrix client-server API, PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}: the address is all but the
   * last part, which tells the server that a repeated request is the same message.
   */
  matrix: (address, tidings) => {
    const url = new URL(address);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(tidings.key)}`;
    return { url, method: 'PUT', body: { msgtype: 'm.notice', body: `${titleOf(tidings)}: ${tidings.message}` } };
  },

  /** Incoming webhooks of Slack and Mattermost; their markup is neither wanted nor harmful to let in. */
  slack: (url, tidings) => {
    const text = printable(`${titleOf(tidings)}: ${tidings.message}`);
    const plain = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    return { url, method: 'POST', body: { text: plain } };
  },
};

/** ntfy's, from 1 to 5. */
const PRIORITY: Readonly<Record<NoticeKind, number>> = {
  published: 2,
  rejected: 4,
  reverted: 4,
  quarantined: 3,
  stuck: 4,
  'disk-low': 4,
  'well-again': 3,
};

/** ntfy shows these as signs. */
const TAG: Readonly<Record<NoticeKind, string>> = {
  published: 'package',
  rejected: 'warning',
  reverted: 'rewind',
  quarantined: 'warning',
  stuck: 'hourglass',
  'disk-low': 'warning',
  'well-again': 'white_check_mark',
};
