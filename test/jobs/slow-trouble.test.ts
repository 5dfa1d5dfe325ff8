import fs from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Activity } from '../../src/jobs/caretaker.ts';
import { lookForSlowTrouble } from '../../src/jobs/slow-trouble.ts';
import type { Site } from '../../src/steps/site.ts';
import { writeRecord } from '../../src/store/records.ts';
import { switchTo } from '../../src/store/switch.ts';
import { makeSite, type TestSite } from '../steps/site.ts';
import { addImage } from '../store/store.ts';

const HOUR = 3_600_000;
const waiting: Activity = { kind: 'waiting', reason: 'waiting for apt-get (pid 7)', until: null };

let made: TestSite;
let now: number;
let site: Site;
beforeEach(() => {
  made = makeSite();
  now = Date.parse('2026-11-27T12:00:00Z');
  site = { ...made.site, now: () => now };
});

/** Looks at chroot amd64, whose caretaker does this, so many hours later. */
function look(activity: Activity, later = 0): void {
  now += later * HOUR;
  lookForSlowTrouble(site, [{ chroot: { name: 'amd64', path: '/nowhere' }, activity }]);
}

function told(): string[] {
  return made.told.notices.filter(({ kind }) => kind === 'stuck').map(({ state }) => state);
}

describe('a chroot that waits', () => {
  it('for more than a day is told of, as one thing', () => {
    look(waiting);
    look(waiting, 23);
    expect(told()).toEqual([]);
    look(waiting, 1);
    look(waiting, 5);
    expect(told()).toEqual(['2026-11-27T12:00:00.000Z', '2026-11-27T12:00:00.000Z']);
    expect(made.told.notices.find(({ kind }) => kind === 'stuck')?.message).toContain('waiting for apt-get (pid 7)');
  });

  it('is not told of when it was done in between', () => {
    look(waiting);
    look({ kind: 'idle' }, 12);
    look(waiting, 1);
    look(waiting, 23);
    expect(told()).toEqual([]);
    look(waiting, 1);
    expect(told()).toEqual(['2026-11-28T01:00:00.000Z']);
  });

  it('is told of though it was looked at, or tried to be built, in between', () => {
    look(waiting);
    look({ kind: 'looking' }, 12);
    look({ kind: 'building', text: '', percent: null }, 13);
    expect(told()).toEqual([]);
    look(waiting);
    expect(told()).toHaveLength(1);
  });

  it('for the end of quiet hours is where it should be', () => {
    const resting: Activity = { kind: 'resting', reason: 'to be built', until: now + 72 * HOUR };
    look(resting);
    look(resting, 48);
    expect(told()).toEqual([]);
  });

  it('counts from the beginning, whatever is remembered makes sense or not', () => {
    const file = path.join(site.config.paths.state, 'waiting.json');
    look(waiting);
    fs.writeFileSync(file, '{"amd64":');
    look(waiting, 25);
    expect(told()).toEqual([]);
    look(waiting, 25);
    expect(told()).toHaveLength(1);
  });
});

describe('the disk', () => {
  function kinds(): string[] {
    return made.told.notices.filter(({ name }) => name === '').map(({ kind }) => kind);
  }

  /** An image whose record says it has so many bytes. */
  function publish(id: string, size: number): void {
    const { paths } = site.config;
    writeRecord(paths, { ...addImage(paths, 'amd64', id, id), size });
    switchTo(paths, 'amd64', { current: id, previous: null }, now);
  }

  it('is told of while there is no room for another image, and that there is again', () => {
    const { bavail, bsize } = fs.statfsSync(made.server.root);
    publish('20261127T120000Z', bavail * bsize);
    look({ kind: 'idle' });
    expect(kinds()).toEqual(['disk-low']);
    publish('20261127T120001Z', 1000);
    look({ kind: 'idle' });
    expect(kinds()).toEqual(['disk-low', 'well-again']);
  });
});
