import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REBUILD_STEPS } from '../../src/jobs/rebuild.ts';
import { REVERT_STEPS } from '../../src/jobs/revert.ts';
import { FAULT_POINTS } from '../../src/system/faults.ts';
import { FaultTrial, SCENARIOS, type Scenario } from './fault-trial.ts';

/** All points, all errors and kills at random moments: `npm run test:faults`. */
let trial: FaultTrial;
beforeAll(async () => {
  trial = await FaultTrial.make();
});
afterAll(() => trial.remove());

function scenario(name: string): Scenario {
  const found = SCENARIOS[name];
  if (found === undefined) throw new Error(`no scenario ${name}`);
  return found;
}

describe('killed anywhere, clients have a whole image with its own kernel, and the next run succeeds', () => {
  it.each([
    ['rebuild', 'boot.carry-again', 1, 'former'],
    ['rebuild', 'image.sync-directory', 1, 'former'],
    ['rebuild', 'journal.remove', 1, 'new'],
    ['rebuild', 'generation.remove', 3, 'new'],
    ['first build', 'image.rename', 1, 'none'],
    ['rebuild, file by file', 'boot.replace-rename', 14, 'former'],
    ['rebuild over a foreign image', 'generation.rename', 1, 'former'],
    ['revert', 'image.rename', 1, 'former'],
    ['recovery of a rebuild', 'boot.undo-exchange', 1, 'former'],
  ])('%s, before %s (time %i): the %s one is live', async (name, point, nth, live) => {
    const outcome = await trial.withFault(scenario(name), { point, nth }, 'kill');
    expect(outcome).toEqual({ live, ended: 'SIGKILL', problems: [] });
  });
});

describe('a call that fails anywhere leaves what is live, and the next run succeeds', () => {
  it.each([
    ['rebuild', 'journal.prepared', 6, 'ENOSPC', 'former'],
    ['rebuild', 'image.sync-directory', 1, 'EIO', 'former'],
    ['revert', 'boot.exchange', 1, 'EACCES', 'former'],
  ])('%s, %s (time %i) with %s: the %s one is live', async (name, point, nth, kind, live) => {
    const outcome = await trial.withFault(scenario(name), { point, nth }, kind);
    expect(outcome).toEqual({ live, ended: 'status 1', problems: [] });
  });
});

it('every phase of every step is a fault point', () => {
  const phases = ['prepare', 'act', 'done', 'undo', 'undone', 'finish'];
  const steps = [...REBUILD_STEPS, ...REVERT_STEPS].map(({ name }) => name);
  expect(FAULT_POINTS).toEqual(
    expect.arrayContaining(steps.flatMap((name) => phases.map((phase) => `${name}.${phase}`))),
  );
});
