import type { NotifyConfig } from '../../config/config.ts';
import { CancelledError, messageOf, UserError } from '../../errors.ts';
import { printable } from '../printable.ts';
import type { Receiver } from './receiver.ts';
import { SHAPES } from './shapes.ts';
import { readToken } from './token.ts';

/** Milliseconds that a service may take to answer. */
const LIMIT = 30_000;

const PLACEHOLDER = '{token}';

/**
 * A service that is told by HTTP. Where its address has `{token}` in it the token stands there, else it is sent as a
 * bearer token; where there is no file for it there is none.
 * @param limit milliseconds that the service may take
 */
export function webhookReceiver(settings: NotifyConfig, limit = LIMIT): Receiver {
  const deliver: Receiver['deliver'] = async (tidings, signal) => {
    const token = settings.tokenFile === '' ? '' : readToken(settings.tokenFile);
    const inAddress = settings.webhook.includes(PLACEHOLDER);
    const address = new URL(settings.webhook.replaceAll(PLACEHOLDER, encodeURIComponent(token)));
    const { url, method, body } = SHAPES[settings.webhookShape](address, tidings);
    const status = await send(url, {
      method,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'ltsp-autoimage',
        ...(token === '' || inAddress ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      // whoever gets the token is who it was meant for
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(limit)]),
    }).catch((error: unknown) => {
      if (signal.aborted) throw new CancelledError('telling the webhook was stopped');
      // it may have the address in it, and that the token
      throw new UserError(`${url.origin} ${withoutSecrets(whyFailed(error, limit), [token, url.href, url.pathname])}`);
    });
    if (status < 200 || status > 299) throw new UserError(`${url.origin} answered with status ${status}`);
  };
  return { id: 'webhook', deliver };
}

/** The answer's status is all there is to learn: its body, however long, is not read. */
async function send(url: URL, request: RequestInit): Promise<number> {
  const response = await fetch(url, request);
  await response.body?.cancel();
  return response.status;
}

function whyFailed(error: unknown, limit: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `did not answer within ${limit / 1000} s`;
  return `cannot be told: ${printable(messageOf(error))}`;
}

function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret.length > 1).reduce((left, secret) => left.replaceAll(secret, '…'), text);
}
