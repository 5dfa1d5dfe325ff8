import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { NotifyConfig } from '../../../src/config/config.ts';
import type { Tidings } from '../../../src/report/notices/notice.ts';
import { webhookReceiver } from '../../../src/report/notices/webhook.ts';
import { siteWith } from '../../config/site.ts';
import { WebService } from './receivers.ts';

const TOKEN = 'tk_5ecret+/=';
const HOST = os.hostname();
const never = new AbortController().signal;
const tidings: Tidings = {
  key: 'b2f6',
  kind: 'rejected',
  name: 'amd64',
  id: '20261127T120000Z',
  message: 'the image of amd64 <failed> & more: naïve',
  at: '2026-11-27T12:00:00.000Z',
};

function tokenFile(text = `${TOKEN}\nthe rest\n`, mode = 0o600): string {
  const file = path.join(siteWith({}), 'token');
  fs.writeFileSync(file, text, { mode });
  return file;
}

function settings(webhook: string, more: Partial<NotifyConfig> = {}): NotifyConfig {
  return { mail: '', webhook, webhookShape: 'plain', tokenFile: '', events: [], ...more };
}

describe('a webhook', () => {
  test('of the plain shape gets the event as JSON, and the token', async () => {
    const service = await WebService.start(200);
    await webhookReceiver(settings(`${service.address}/in?x=1`, { tokenFile: tokenFile() })).deliver(tidings, never);
    const [heard] = service.heard;
    expect(heard).toMatchObject({ method: 'POST', path: '/in?x=1' });
    expect(heard?.headers).toMatchObject({ 'content-type': 'application/json', authorization: `Bearer ${TOKEN}` });
    const { kind, ...rest } = tidings;
    expect(JSON.parse(heard?.body ?? '')).toEqual({ program: 'ltsp-autoimage', host: HOST, event: kind, ...rest });
  });

  test('without a token sends none', async () => {
    const service = await WebService.start(204);
    await webhookReceiver(settings(service.address)).deliver(tidings, never);
    expect(service.heard[0]?.headers.authorization).toBeUndefined();
  });

  test('of ntfy gets the topic in the body', async () => {
    const service = await WebService.start(200);
    const webhook = `${service.address}/sub/class%20room`;
    await webhookReceiver(settings(webhook, { webhookShape: 'ntfy' })).deliver(tidings, never);
    expect(service.heard[0]).toMatchObject({ method: 'POST', path: '/sub' });
    expect(JSON.parse(service.heard[0]?.body ?? '')).toEqual({
      topic: 'class room',
      title: `amd64 has an image that failed its checks (${HOST})`,
      message: tidings.message,
      priority: 4,
      tags: ['warning'],
    });
  });

  test('of Matrix gets the event under a transaction of its own, the same at each try', async () => {
    const service = await WebService.start(500, 200);
    const room = '/_matrix/client/v3/rooms/!room:example.org/send/m.room.message';
    const receiver = webhookReceiver(
      settings(`${service.address}${room}/`, { webhookShape: 'matrix', tokenFile: tokenFile() }),
    );
    await expect(receiver.deliver(tidings, never)).rejects.toThrow('500');
    await receiver.deliver(tidings, never);
    expect(service.heard.map((one) => one.path)).toEqual([`${room}/b2f6`, `${room}/b2f6`]);
    expect(service.heard[1]).toMatchObject({ method: 'PUT', headers: { authorization: `Bearer ${TOKEN}` } });
    expect(JSON.parse(service.heard[1]?.body ?? '')).toEqual({
      msgtype: 'm.notice',
      body: `amd64 has an image that failed its checks (${HOST}): ${tidings.message}`,
    });
  });

  test('of Slack gets text that is no markup, and the token where the address has a place for it', async () => {
    const service = await WebService.start(200);
    const webhook = `${service.address}/services/{token}`;
    await webhookReceiver(settings(webhook, { webhookShape: 'slack', tokenFile: tokenFile() })).deliver(tidings, never);
    expect(service.heard[0]?.path).toBe(`/services/${encodeURIComponent(TOKEN)}`);
    expect(service.heard[0]?.headers.authorization).toBeUndefined();
    expect(JSON.parse(service.heard[0]?.body ?? '')).toEqual({
      text: `amd64 has an image that failed its checks (${HOST}): the image of amd64 &lt;failed&gt; &amp; more: naïve`,
    });
  });

  test('that sends without end is content, and nothing more is read', async () => {
    const service = await WebService.start('endless');
    await webhookReceiver(settings(service.address)).deliver(tidings, never);
    expect(service.heard).toHaveLength(1);
  });
});

describe('a webhook that fails', () => {
  test.each([500, 401, 302, 404] as const)('with status %i is told so, and followed nowhere', async (status) => {
    const service = await WebService.start(status, 200);
    const receiver = webhookReceiver(settings(`${service.address}/in`));
    await expect(receiver.deliver(tidings, never)).rejects.toThrow(`${service.address} answered with status ${status}`);
    expect(service.heard).toHaveLength(1);
  });

  test('with bytes that are no HTTP is told so', async () => {
    const service = await WebService.start('garbage');
    await expect(webhookReceiver(settings(service.address)).deliver(tidings, never)).rejects.toThrow('cannot be told');
  });

  test('by silence is told so after a while', async () => {
    const service = await WebService.start('never');
    const receiver = webhookReceiver(settings(service.address), 50);
    await expect(receiver.deliver(tidings, never)).rejects.toThrow(`${service.address} did not answer within 0.05 s`);
  });

  test('because nobody is there is told so', async () => {
    const service = await WebService.start(200);
    const { address } = service;
    await service.stop();
    await expect(webhookReceiver(settings(address)).deliver(tidings, never)).rejects.toThrow('ECONNREFUSED');
  });

  test.each([500, 'garbage', 'never'] as const)('(%s) keeps its address and token to itself', async (manner) => {
    const service = await WebService.start(manner);
    for (const path of ['/in/{token}', '/in']) {
      const receiver = webhookReceiver(settings(service.address + path, { tokenFile: tokenFile() }), 200);
      const error: unknown = await receiver.deliver(tidings, never).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Error);
      expect(String(error)).not.toContain('5ecret');
      expect(String(error)).not.toContain('/in');
    }
  });

  test.each([
    ['is not there', () => '/nonexistent/token', 'it does not exist'],
    ['is a directory', () => siteWith({}), 'it is not a regular file'],
    ['is empty', () => tokenFile('\n'), 'its first line has none'],
    ['has other than visible characters', () => tokenFile('one two\n'), 'its first line has none'],
    ['is open to everyone', () => tokenFile(TOKEN, 0o644), 'everyone can read it (chmod 600 '],
    ['is no text', () => tokenFile('x'.repeat(5000)), 'it is longer than 4096 bytes'],
  ])('for its token file %s asks nobody, and says so', async (_, file, why) => {
    const service = await WebService.start(200);
    const receiver = webhookReceiver(settings(service.address, { tokenFile: file() }));
    const error: unknown = await receiver.deliver(tidings, never).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain(why);
    expect(String(error)).not.toContain(TOKEN);
    expect(service.heard).toEqual([]);
  });
});
