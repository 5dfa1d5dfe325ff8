import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { CancelledError } from '../../src/errors.ts';
import { Journal, openJournals } from '../../src/jobs/journal.ts';
import { recover, runJob, undoErrorsOf } from '../../src/jobs/runner.ts';
import { defineStep, type Step } from '../../src/steps/step.ts';
import type { StorePaths } from '../../src/store/layout.ts';
import { makeStore } from '../store/store.ts';

/** What a step does is written here; `fail` names those that fail, for example `act b`; `hook` sees each of them. */
type Site = { did: string[]; fail: Set<string>; hook: (what: string) => void | Promise<void> };

let paths: StorePaths;
beforeEach(() => {
  paths = makeStore();
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

async function effect(site: Site, what: string): Promise<void> {
  site.did.push(what);
  await site.hook(what);
  if (site.fail.has(what)) throw new Error(`no ${what}`);
}

function step(name: string): Step<Site, Site> {
  return defineStep<Site, Site, { of: string }>({
    name,
    plan: z.object({ of: z.string() }),
    prepare: async (job) => {
      await effect(job, `prepare ${name}`);
      return { of: name };
    },
    act: (job, { of }) => effect(job, `act ${of}`),
    undo: (site, { of }) => effect(site, `undo ${of}`),
  });
}

const steps = ['a', 'b', 'c'].map(step);
const ALL = ['a', 'b', 'c'].flatMap((name) => [`prepare ${name}`, `act ${name}`]);

function makeSite(fail: string[] = [], hook: Site['hook'] = () => {}): Site {
  return { did: [], fail: new Set(fail), hook };
}

function start(site: Site, signal = new AbortController().signal, log?: (message: string) => void): Promise<void> {
  const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id: 'x' });
  return runJob({ steps, job: site, site, journal, signal, ...(log === undefined ? {} : { log }) });
}

describe('runJob', () => {
  it('does all steps in their order and leaves no journal', async () => {
    const site = makeSite();
    await start(site);
    expect(site.did).toEqual(ALL);
    expect(openJournals(paths)).toEqual([]);
  });

  it.each([
    { fail: 'prepare a', undone: [] },
    { fail: 'act a', undone: ['undo a'] },
    { fail: 'prepare b', undone: ['undo a'] },
    { fail: 'act b', undone: ['undo b', 'undo a'] },
    { fail: 'prepare c', undone: ['undo b', 'undo a'] },
    { fail: 'act c', undone: ['undo c', 'undo b', 'undo a'] },
  ])('undoes backwards from where it failed: $fail', async ({ fail, undone }) => {
    const site = makeSite([fail]);
    await expect(start(site)).rejects.toThrow(`no ${fail}`);
    expect(site.did).toEqual([...ALL.slice(0, ALL.indexOf(fail) + 1), ...undone]);
    expect(openJournals(paths)).toEqual([]);
  });

  it.each([
    { fail: ['act c', 'undo c'], left: ['no undo c'] },
    { fail: ['act c', 'undo b', 'undo a'], left: ['no undo b', 'no undo a'] },
  ])(
    'goes on with the undo when one fails, throws the first error and leaves the rest to recovery: $fail',
    async ({ fail, left }) => {
      const site = makeSite(fail);
      const logged: string[] = [];
      const error = await start(site, undefined, (message) => logged.push(message)).catch((one: unknown) => one);
      expect(error).toMatchObject({ message: 'no act c' });
      expect(undoErrorsOf(error)).toMatchObject(left.map((message) => ({ message })));
      expect(logged).toHaveLength(left.length);
      expect(site.did.slice(-3)).toEqual(['undo c', 'undo b', 'undo a']);

      const [journal] = openJournals(paths);
      if (journal === undefined) throw new Error('no journal');
      const later = makeSite();
      expect(await recover({ steps, site: later, journal })).toBe('undone');
      expect(later.did).toEqual(['undo c', 'undo b', 'undo a']);
      expect(openJournals(paths)).toEqual([]);
    },
  );

  it("has a step's plan on disk before its effect", async () => {
    const seen: (string | undefined)[] = [];
    const site = makeSite([], (what) => {
      if (what.startsWith('act')) seen.push(openJournals(paths)[0]?.begun.at(-1)?.step);
    });
    await start(site);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it.each(ALL.slice(0, -1))('undoes what was begun when it is told to stop during %s', async (when) => {
    const abort = new AbortController();
    const site = makeSite([], (what) => {
      if (what === when) abort.abort(new CancelledError('a revert was asked for'));
    });
    await expect(start(site, abort.signal)).rejects.toThrow('a revert was asked for');
    const acted = site.did.filter((what) => what.startsWith('act'));
    const undone = site.did.filter((what) => what.startsWith('undo'));
    expect(site.did.indexOf(when)).toBe(site.did.length - 1 - undone.length);
    expect(undone).toEqual(acted.map((what) => what.replace('act', 'undo')).reverse());
  });

  it('does nothing when it was told to stop before, and names the reason as an error of its own', async () => {
    const site = makeSite();
    await expect(start(site, AbortSignal.abort('because'))).rejects.toThrow(CancelledError);
    expect(site.did).toEqual([]);
  });

  it('takes nothing back when it is told to stop after its last step', async () => {
    const abort = new AbortController();
    const site = makeSite([], (what) => {
      if (what === 'act c') abort.abort();
    });
    await start(site, abort.signal);
    expect(site.did).toEqual(ALL);
  });

  it('tells where it is, and what is thrown there counts as the step itself failing', async () => {
    const site = makeSite();
    const told: string[] = [];
    const onStep = (name: string, phase: string): void => {
      told.push(`${phase} ${name}`);
      if (`${phase} ${name}` === 'done b') throw new Error('power cut');
    };
    const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id: 'x' });
    const signal = new AbortController().signal;
    await expect(runJob({ steps, job: site, site, journal, signal, onStep })).rejects.toThrow('power cut');
    const forth = ['prepare a', 'act a', 'done a', 'prepare b', 'act b', 'done b'];
    expect(told).toEqual([...forth, 'undo b', 'undone b', 'undo a', 'undone a']);
  });
});

describe('recover', () => {
  /** A job that never gets beyond this, as if the machine had stopped there. */
  async function crashAt(what: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const site = makeSite([], (now) => {
        if (now !== what) return undefined;
        resolve();
        return new Promise<void>(() => {});
      });
      void start(site);
    });
  }

  it.each([
    { at: 'prepare a', undone: [] },
    { at: 'act a', undone: ['undo a'] },
    { at: 'prepare b', undone: ['undo a'] },
    { at: 'act b', undone: ['undo b', 'undo a'] },
    { at: 'act c', undone: ['undo c', 'undo b', 'undo a'] },
  ])('undoes what a crash at $at left', async ({ at, undone }) => {
    await crashAt(at);
    for (const journal of openJournals(paths)) {
      const site = makeSite();
      expect(await recover({ steps, site, journal })).toBe('undone');
      expect(site.did).toEqual(undone);
      expect(await recover({ steps, site, journal })).toBe('done');
      expect(site.did).toEqual(undone);
    }
    expect(openJournals(paths)).toEqual([]);
  });

  it('only closes a job that was committed', async () => {
    const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id: 'x' });
    journal.prepared('a', { of: 'a' });
    journal.commit();
    journal.leave();
    const site = makeSite();
    for (const left of openJournals(paths)) expect(await recover({ steps, site, journal: left })).toBe('done');
    expect(site.did).toEqual([]);
    expect(openJournals(paths)).toEqual([]);
  });

  it('is repeated as a whole when it was interrupted', async () => {
    await crashAt('act c');
    const [journal] = openJournals(paths);
    if (journal === undefined) throw new Error('no journal');
    await new Promise<void>((resolve) => {
      const site = makeSite([], (what) => {
        if (what !== 'undo b') return undefined;
        resolve();
        return new Promise<void>(() => {});
      });
      void recover({ steps, site, journal });
    });
    const again = makeSite();
    for (const left of openJournals(paths)) await recover({ steps, site: again, journal: left });
    expect(again.did).toEqual(['undo c', 'undo b', 'undo a']);
    expect(openJournals(paths)).toEqual([]);
  });

  it.each([
    ['fails', steps, ['undo b'], 'no undo b'],
    ['is of a step that this version does not have', steps.slice(0, 1), [], 'does not know step b'],
  ])('keeps the journal when an undo %s, after all others', async (_, known, fail, message) => {
    await crashAt('act b');
    const [journal] = openJournals(paths);
    if (journal === undefined) throw new Error('no journal');
    const site = makeSite(fail);
    const recovery = recover({ steps: known, site, journal });
    await expect(recovery).rejects.toThrow(`cannot undo an interrupted rebuild of amd64: `);
    await expect(recovery).rejects.toThrow(message);
    expect(site.did).toContain('undo a');
    expect(openJournals(paths)).toHaveLength(1);
  });

  it('keeps the journal when a plan in it makes no sense', async () => {
    const journal = Journal.open(paths, { kind: 'rebuild', name: 'amd64', id: 'x' });
    journal.prepared('a', { of: 'a' });
    journal.prepared('b', 'nonsense');
    journal.leave();
    const site = makeSite();
    const [left] = openJournals(paths);
    if (left === undefined) throw new Error('no journal');
    await expect(recover({ steps, site, journal: left })).rejects.toThrow('cannot undo');
    expect(site.did).toEqual(['undo a']);
    expect(openJournals(paths)).toHaveLength(1);
  });
});
