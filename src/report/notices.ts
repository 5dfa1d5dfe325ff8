import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import type { NoticeKind } from '../config/notice-kinds.ts';
import { messageOf } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from './log.ts';
import { mailReceiver } from './notices/mail.ts';
import { type NoticeMemory, readNoticeMemory, toldAfter, writeNoticeMemory } from './notices/memory.ts';
import type { Notice, Tidings } from './notices/notice.ts';
import { Postman } from './notices/postman.ts';
import { notifyPrograms } from './notices/programs.ts';
import type { Receiver } from './notices/receiver.ts';
import { webhookReceiver } from './notices/webhook.ts';
import { printable } from './printable.ts';

export type NotifierParts = {
  /** Of this moment. */
  config: () => Config;
  log: Log;
  clock: Clock;
};

/** Milliseconds that deliveries on their way may take when the program stops. */
const FAREWELL = 2000;

/** One who was not there for long hears of the latest. */
const OUTBOX_LIMIT = 50;

/**
 * Tells people and programs what they may have to know, each change of state once, also across restarts. A receiver that
 * fails is tried again, and holds up neither another one nor who tells.
 */
export class Notifier {
  readonly #parts: NotifierParts;
  readonly #file: string;
  readonly #postmen = new Map<string, Postman>();
  #memory: NoticeMemory;
  #skipped = '';
  #closed = false;

  /** Goes on with what was on its way when the program stopped. */
  constructor(parts: NotifierParts) {
    this.#parts = parts;
    this.#file = path.join(parts.config().paths.state, 'notices.json');
    this.#memory = readNoticeMemory(this.#file);
    for (const { receiver, tidings } of this.#memory.outbox) this.#postman(receiver).take(tidings);
  }

  /** Takes a notice and returns at once; one that says nothing new is dropped. Never throws. */
  tell(notice: Notice): void {
    const { log, clock } = this.#parts;
    try {
      const told = toldAfter(this.#memory.told, notice);
      if (told === null) return;
      const { kind, name, id, message } = notice;
      const at = new Date(clock.now()).toISOString();
      const tidings: Tidings = { key: randomUUID(), kind, name, id, message, at };
      const receivers = this.#receivers().filter(({ hears }) => hears(kind));
      const added = receivers.map(({ receiver }) => ({ receiver: receiver.id, tidings }));
      this.#remember({ told, outbox: [...this.#memory.outbox, ...added] });
      for (const { receiver } of this.#closed ? [] : added) this.#postman(receiver).take(tidings);
      for (const { receiver } of added) this.#forgetOldest(receiver);
    } catch (error) {
      log.warn('notice.failed', {}, `cannot tell of ${notice.kind}: ${messageOf(error)}`);
    }
  }

  /** Ends deliveries, those that run after a moment; what has not been delivered is when the program starts again. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#postmen.values()].map((postman) => postman.close(FAREWELL)));
  }

  /** Whom there is, and of what each hears. */
  #receivers(): { receiver: Receiver; hears: (kind: NoticeKind) => boolean }[] {
    const { root, notify } = this.#parts.config();
    const { receivers, skipped } = notifyPrograms(root);
    const words = skipped.map(({ name, why }) => `cannot run notify.d/${printable(name)}: ${why}`).join('; ');
    if (words !== '' && words !== this.#skipped) this.#parts.log.warn('notice.failed', {}, words);
    this.#skipped = words;
    const asConfigured = [
      ...(notify.mail === '' ? [] : [mailReceiver(notify.mail)]),
      ...(notify.webhook === '' ? [] : [webhookReceiver(notify)]),
    ];
    const hears = (kind: NoticeKind): boolean => notify.events.includes(kind);
    return [
      ...receivers.map((receiver) => ({ receiver, hears: () => true })),
      ...asConfigured.map((receiver) => ({ receiver, hears })),
    ];
  }

  #postman(id: string): Postman {
    const former = this.#postmen.get(id);
    if (former !== undefined) return former;
    const { clock, log } = this.#parts;
    const find = (): Receiver | undefined => this.#receivers().find(({ receiver }) => receiver.id === id)?.receiver;
    const postman = new Postman({ id, find, clock, log, onDone: (tidings) => this.#forget(id, tidings) });
    this.#postmen.set(id, postman);
    return postman;
  }

  #forget(receiver: string, { key }: Tidings): void {
    const outbox = this.#memory.outbox.filter((one) => one.receiver !== receiver || one.tidings.key !== key);
    this.#remember({ ...this.#memory, outbox });
  }

  #forgetOldest(receiver: string): void {
    const [oldest, ...others] = this.#memory.outbox.filter((one) => one.receiver === receiver);
    if (oldest === undefined || others.length < OUTBOX_LIMIT) return;
    this.#postmen.get(receiver)?.drop(oldest.tidings);
    this.#forget(receiver, oldest.tidings);
  }

  /** What cannot be written is remembered until the program ends. */
  #remember(memory: NoticeMemory): void {
    this.#memory = memory;
    try {
      writeNoticeMemory(this.#file, memory);
    } catch (error) {
      this.#parts.log.warn('notice.failed', {}, `cannot remember what was told: ${messageOf(error)}`);
    }
  }
}
