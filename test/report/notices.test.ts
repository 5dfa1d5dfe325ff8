import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Notice } from '../../src/report/notices/notice.ts';
import { Notifier } from '../../src/report/notices.ts';
import { siteWith } from '../config/site.ts';
import { FakeClock } from '../jobs/fake-clock.ts';
import { Remembered } from '../steps/site.ts';
import { fakeSendmail, WebService, writeProgram } from './notices/receivers.ts';

const HOUR = 3_600_000;

let root: string;
let clock: FakeClock;
let told: Remembered;
beforeEach(() => {
  root = siteWith({});
  clock = new FakeClock();
  told = new Remembered();
});

function configured(toml: string): Config {
  const file = path.join(root, 'etc/ltsp/ltsp-autoimage.toml');
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, toml);
  return loadConfig({ root, checkCron: () => undefined });
}

function notifier(toml: string): Notifier {
  const config = configured(toml);
  const one = new Notifier({ config: () => config, log: told.log, clock });
  onTestFinished(() => closed(one));
  return one;
}

/** Closes it, with the moment that it gives to what runs. */
async function closed(one: Notifier): Promise<void> {
  const closing = one.close();
  await clock.advance(5000);
  await closing;
}

function rejected(state: string): Notice {
  return { kind: 'rejected', name: 'amd64', id: null, message: `inputs ${state} are bad`, state };
}

const well: Notice = { kind: 'well-again', name: 'amd64', id: null, message: 'all is well', state: '' };

function messages(service: WebService): string[] {
  return service.heard.map(({ body }) => JSON.parse(body).message);
}

function outbox(): unknown[] {
  return JSON.parse(fs.readFileSync(path.join(root, 'var/lib/ltsp-autoimage/notices.json'), 'utf8')).outbox;
}

const hook = ({ address }: WebService): string => `[notify]\nwebhook = "${address}"`;

describe('a receiver', () => {
  it('hears of each change once, in their order', async () => {
    const service = await WebService.start(200);
    const one = notifier(hook(service));
    for (const notice of [rejected('a'), rejected('a'), well, well, rejected('a')]) one.tell(notice);
    await service.hears(3);
    expect(messages(service)).toEqual(['inputs a are bad', 'all is well', 'inputs a are bad']);
  });

  it('does not hear again of what it was told before a restart', async () => {
    const service = await WebService.start(200);
    const first = notifier(hook(service));
    first.tell(rejected('a'));
    await told.next('notice.told');
    await closed(first);
    const second = notifier(hook(service));
    second.tell(rejected('a'));
    second.tell(rejected('b'));
    await service.hears(2);
    expect(messages(service)).toEqual(['inputs a are bad', 'inputs b are bad']);
  });

  it('that is down hears of it when it is there again, and the log says so once each', async () => {
    const service = await WebService.start(500, 500, 500, 200);
    notifier(hook(service)).tell(rejected('a'));
    await told.next('notice.failed');
    for (const wait of [10_000, 20_000, 40_000]) {
      const before = service.heard.length;
      await clock.advance(wait - 1);
      expect(service.heard).toHaveLength(before);
      await clock.advance(1);
      await service.hears(before + 1);
      await deliveryEnded();
    }
    expect(await told.next('notice.told')).toContain('told webhook of rejected amd64');
    expect(told.count('notice.failed')).toBe(1);
    expect(outbox()).toEqual([]);
  });

  it('that is down hears of it after a restart', async () => {
    const service = await WebService.start(500, 200);
    const first = notifier(hook(service));
    first.tell(rejected('a'));
    await told.next('notice.failed');
    await closed(first);
    expect(outbox()).toHaveLength(1);
    notifier(hook(service));
    await service.hears(2);
    const keys = service.heard.map(({ body }) => JSON.parse(body).key);
    expect(keys[0]).toBe(keys[1]);
  });

  it('that stays down is given up after a day', async () => {
    const service = await WebService.start(500);
    notifier(hook(service)).tell(rejected('a'));
    await told.next('notice.failed');
    for (let count = 1; told.count('notice.dropped') === 0; count += 1) {
      await clock.advance(HOUR);
      await service.hears(count + 1);
      await deliveryEnded();
      expect(count).toBeLessThan(40);
    }
    expect(outbox()).toEqual([]);
  });

  it('that is down for long hears of the latest alone', async () => {
    const service = await WebService.start(500);
    const one = notifier(hook(service));
    for (let count = 0; count < 60; count += 1) one.tell(rejected(String(count)));
    expect(outbox()).toHaveLength(50);
    expect(JSON.stringify(outbox()[0])).toContain('inputs 10 are bad');
  });

  it('that never answers holds up nobody else, and not the end', async () => {
    const service = await WebService.start('never');
    writeProgram(path.join(root, 'etc/ltsp/autoimage.d/notify.d/hangs'), 'exec sleep 3600');
    fakeSendmail(path.join(root, 'bin'), `cat > /dev/null; echo sent >> ${root}/mails`);
    const one = notifier(`${hook(service)}\nmail = "root"`);
    one.tell(rejected('a'));
    expect(await told.next('notice.told')).toBe('told mail of rejected amd64');
    await closed(one);
    expect(outbox()).toMatchObject([{ receiver: 'notify.d/hangs' }, { receiver: 'webhook' }]);
  });

  it('that is not configured any more is forgotten', async () => {
    const service = await WebService.start(500);
    const first = notifier(hook(service));
    first.tell(rejected('a'));
    await told.next('notice.failed');
    await closed(first);
    notifier('');
    expect(await told.next('notice.dropped')).toContain('there is no webhook any more');
    expect(outbox()).toEqual([]);
    expect(service.heard).toHaveLength(1);
  });
});

describe('which news', () => {
  it('mail and webhook hear of is configured; programs hear of all', async () => {
    const service = await WebService.start(200);
    writeProgram(path.join(root, 'etc/ltsp/autoimage.d/notify.d/list'), `echo $LTSP_AUTOIMAGE_EVENT >> ${root}/list`);
    const one = notifier(`${hook(service)}\nevents = ["stuck"]`);
    one.tell(rejected('a'));
    one.tell({ ...rejected('a'), kind: 'published' });
    one.tell({ ...rejected('a'), kind: 'stuck' });
    while (told.count('notice.told') < 4) await told.next('notice.told', told.events.length);
    expect(fs.readFileSync(path.join(root, 'list'), 'utf8')).toBe('rejected\npublished\nstuck\n');
    expect(service.heard.map(({ body }) => JSON.parse(body).event)).toEqual(['stuck']);
  });
});

describe('what goes wrong here', () => {
  it('is told in the log, and not to who tells', async () => {
    const service = await WebService.start(200);
    const one = notifier(hook(service));
    const state = path.join(root, 'var/lib/ltsp-autoimage');
    fs.mkdirSync(path.dirname(state), { recursive: true });
    fs.writeFileSync(state, 'in the way of the directory');
    one.tell(rejected('a'));
    await service.hears(1);
    expect(await told.next('notice.failed')).toContain('cannot remember what was told');
  });

  it('a program that is not safe to run is told of once', () => {
    const file = path.join(root, 'etc/ltsp/autoimage.d/notify.d/open');
    writeProgram(file, 'exit 0');
    fs.chmodSync(file, 0o777);
    const one = notifier('');
    one.tell(rejected('a'));
    one.tell(rejected('b'));
    expect(told.events.map(({ message }) => message)).toEqual([expect.stringContaining('cannot run notify.d/open')]);
  });
});

/** Lets a delivery whose request has come in end: its timer for another try is set in a turn after the answer. */
async function deliveryEnded(): Promise<void> {
  while (clock.timers === 0 && outbox().length > 0) await new Promise((resolve) => setImmediate(resolve));
}
