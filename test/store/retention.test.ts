import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Generation } from '../../src/store/generation.ts';
import { imageFile } from '../../src/store/layout.ts';
import { generations, newId, writeRecord } from '../../src/store/records.ts';
import { prune, superfluous } from '../../src/store/retention.ts';
import { switchTo } from '../../src/store/switch.ts';
import { addImage, makeStore, recordFor } from './store.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-06-01T00:00:00Z');

function ago(days: number): string {
  return new Date(NOW - days * DAY).toISOString();
}

function idAt(days: number): string {
  return newId({ images: '/nowhere', state: '/nowhere' }, 'amd64', NOW - days * DAY);
}

const generation: fc.Arbitrary<Generation> = fc
  .record({ built: fc.integer({ min: 0, max: 60 }), replaced: fc.option(fc.integer({ min: -2, max: 60 })) })
  .map(({ built, replaced }) =>
    recordFor('amd64', idAt(built), { replacedAt: replaced === null ? null : ago(replaced) }),
  );

const situation = fc
  .record({
    all: fc.uniqueArray(generation, { selector: ({ id }) => id, maxLength: 12 }),
    current: fc.nat(),
    previous: fc.nat(),
    used: fc.array(fc.nat(), { maxLength: 3 }),
    keep: fc.integer({ min: 0, max: 8 }),
    grace: fc.integer({ min: 0, max: 20 }).map((days) => days * DAY),
  })
  .map(({ all, current, previous, used, keep, grace }) => {
    const pick = (number: number): string | null => all[number % (all.length + 1)]?.id ?? null;
    const inUse = new Set(used.map(pick).filter((id) => id !== null));
    return { all, links: { current: pick(current), previous: pick(previous) }, keep, grace, inUse, now: NOW };
  });

describe('superfluous', () => {
  it('never names what is current, previous, in use, or was replaced within the grace time', () => {
    fc.assert(
      fc.property(situation, ({ all, links, ...rest }) => {
        for (const id of superfluous(all, links, rest)) {
          expect([links.current, links.previous, ...rest.inUse]).not.toContain(id);
          const found = all.find((one) => one.id === id);
          expect(NOW - Date.parse(found?.replacedAt ?? found?.builtAt ?? '')).toBeGreaterThanOrEqual(rest.grace);
        }
      }),
    );
  });

  it('leaves at least as many as are to be kept, and the newest', () => {
    fc.assert(
      fc.property(situation, ({ all, links, ...rest }) => {
        const gone = superfluous(all, links, rest);
        expect(all.length - gone.length).toBeGreaterThanOrEqual(Math.min(rest.keep, all.length));
        const linked = all.filter(({ id }) => id === links.current || id === links.previous);
        const others = all.filter((one) => !linked.includes(one)).sort((a, b) => (a.id < b.id ? 1 : -1));
        const newest = others.slice(0, Math.max(0, rest.keep - linked.length)).map(({ id }) => id);
        expect(gone.filter((id) => newest.includes(id))).toEqual([]);
      }),
    );
  });

  it('leaves exactly as many as are to be kept when nothing is in use or young', () => {
    fc.assert(
      fc.property(situation, ({ all, links, keep }) => {
        const gone = superfluous(all, links, { keep, grace: 0, inUse: new Set(), now: NOW + 3 * DAY });
        const linked = new Set([links.current, links.previous].filter((id) => id !== null)).size;
        expect(all.length - gone.length).toBe(Math.min(all.length, Math.max(keep, linked)));
      }),
    );
  });

  it('names nothing more when it is asked again', () => {
    fc.assert(
      fc.property(situation, ({ all, links, ...rest }) => {
        const gone = superfluous(all, links, rest);
        const left = all.filter(({ id }) => !gone.includes(id));
        expect(superfluous(left, links, rest)).toEqual([]);
      }),
    );
  });

  it('keeps three: the current, the previous and the newest other one, and what was replaced a moment ago', () => {
    const all = [50, 40, 30, 20, 10].map((days) => recordFor('amd64', idAt(days), { replacedAt: ago(days - 5) }));
    const links = { current: idAt(10), previous: idAt(20) };
    const rest = { keep: 3, grace: 7 * DAY, now: NOW, inUse: new Set<string>() };
    expect(superfluous(all, links, rest)).toEqual([idAt(50), idAt(40)]);
    const young = all.map((one) => (one.id === idAt(50) ? { ...one, replacedAt: ago(6) } : one));
    expect(superfluous(young, links, rest)).toEqual([idAt(40)]);
  });

  it('names a damaged one however many may stay, and it pushes no sound one out', () => {
    const old = { replacedAt: ago(30) };
    const all = [
      recordFor('amd64', idAt(50), old),
      recordFor('amd64', idAt(40), { ...old, damagedAt: ago(35) }),
      recordFor('amd64', idAt(35)),
    ];
    const links = { current: idAt(35), previous: null };
    const rest = { keep: 2, grace: DAY, inUse: new Set<string>(), now: NOW };
    expect(superfluous(all, links, rest)).toEqual([idAt(40)]);
    expect(superfluous(all, links, { ...rest, inUse: new Set([idAt(40)]) })).toEqual([]);
  });
});

describe('prune', () => {
  it('removes what may go, asks for users only when something may, and spares what they use', () => {
    const paths = makeStore();
    try {
      const ids = [50, 40, 30, 20].map((days) => {
        const record = addImage(paths, 'amd64', idAt(days), `image ${days}`);
        writeRecord(paths, { ...record, replacedAt: ago(days - 9) });
        return record.id;
      });
      const [first, second, third = null, fourth = null] = ids;
      switchTo(paths, 'amd64', { current: fourth, previous: third }, NOW);
      const retention = { keep: 2, grace: 7 * DAY, now: NOW };
      const asked: string[][] = [];
      const inUse = (due: string[]): Set<string> => {
        asked.push(due);
        return new Set(due.filter((id) => id === first));
      };
      expect(prune(paths, 'amd64', { ...retention, keep: 4 }, inUse)).toEqual([]);
      expect(asked).toEqual([]);
      expect(prune(paths, 'amd64', retention, inUse)).toEqual([second]);
      expect(asked).toEqual([[first, second]]);
      expect(generations(paths, 'amd64').generations.map(({ id }) => id)).toEqual([first, third, fourth]);
      expect(fs.readFileSync(imageFile(paths, 'amd64'), 'utf8')).toBe('image 20');
    } finally {
      fs.rmSync(path.dirname(paths.images), { recursive: true });
    }
  });
});
