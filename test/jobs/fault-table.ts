import { FAULT_POINTS } from '../../src/system/faults.ts';
import { FaultTrial, type Outcome, SCENARIOS, type Scenario } from './fault-trial.ts';

export type Wanted = {
  /** `kill` and error codes. */
  kinds: readonly string[];
  /** Part of the names of the scenarios that are tried. */
  only: string;
  /** How many kills at random moments, all scenarios together. */
  random: number;
  /** After so many no further trial is begun. */
  minutes: number;
};

/** `point`: the row that its outcome goes to. */
type Trial = { point: string; kind: string; what: string; run: (on: FaultTrial) => Promise<Outcome> };
type Cell = { passed: number; problems: string[]; live: Set<string> };

const AT_RANDOM = '(random moments)';

/** Tries every point with every kind, and random kills; prints a table of points and outcomes. Returns how many failed. */
export async function runAll({ kinds, only, random, minutes }: Wanted): Promise<number> {
  const until = Date.now() + minutes * 60_000;
  const servers = await Promise.all([FaultTrial.make(), FaultTrial.make()]);
  try {
    const [first] = servers;
    const scenarios = Object.entries(SCENARIOS).filter(([name]) => name.includes(only));
    const { planned, seen } = await atPoints(first, scenarios, kinds);
    const trials = [...planned, ...(await atRandom(first, scenarios, random))];
    console.log(`${planned.length} trials at ${seen.size} points, ${random} random kills`);
    const table = new Map<string, Map<string, Cell>>();
    // a run that ends early has tried some of everything
    const left = minutes === Number.POSITIVE_INFINITY ? trials : shuffled(trials);
    await Promise.all(
      servers.map(async (on) => {
        for (let one = left.shift(); one !== undefined && Date.now() < until; one = left.shift()) {
          note(table, one, await one.run(on));
          if (left.length % 50 === 0) console.log(`${left.length} left`);
        }
      }),
    );
    print(table, random > 0 ? [...new Set(['kill', ...kinds])] : kinds);
    if (left.length > 0) console.log(`\nnot tried, since the time was over: ${left.length}`);
    const never = only === '' ? FAULT_POINTS.filter((point) => !seen.has(point)) : [];
    if (never.length > 0) console.log(`\nnever reached: ${never.join(' ')}`);
    return [...table.values()].flatMap((row) => [...row.values()].flatMap((cell) => cell.problems)).length;
  } finally {
    for (const server of servers) await server.remove();
  }
}

/**
 * A kill each time that a point is reached, an error the first time in each scenario. What two scenarios do alike up to a
 * point is interrupted there once.
 */
async function atPoints(
  server: FaultTrial,
  scenarios: readonly [string, Scenario][],
  kinds: readonly string[],
): Promise<{ planned: Trial[]; seen: Set<string> }> {
  const planned: Trial[] = [];
  const seen = new Set<string>();
  const known = new Set<string>();
  for (const [name, scenario] of scenarios) {
    let before = JSON.stringify([scenario.start === 'nothing', scenario.command, scenario.crash]);
    for (const reached of await server.pointsOf(scenario)) {
      seen.add(reached.point);
      before += ` ${reached.point}`;
      if (known.has(before)) continue;
      known.add(before);
      for (const kind of kinds) {
        // it has its own fault there already
        if (scenario.given?.includes(`${reached.point}=`) === true) continue;
        if (kind !== 'kill' && reached.nth > 1) continue;
        const what = `${name}, ${reached.point}=${kind}@${reached.nth}`;
        planned.push({ point: reached.point, kind, what, run: (on) => on.withFault(scenario, reached, kind) });
      }
    }
  }
  return { planned, seen };
}

async function atRandom(server: FaultTrial, scenarios: readonly [string, Scenario][], count: number): Promise<Trial[]> {
  const trials: Trial[] = [];
  for (const [index, [name, scenario]] of scenarios.entries()) {
    const mine = Math.floor((count + scenarios.length - 1 - index) / scenarios.length);
    if (mine === 0) continue;
    const whole = await server.durationOf(scenario);
    for (let times = 0; times < mine; times += 1) {
      const after = Math.round(Math.random() * whole);
      const what = `${name}, killed after ${after} ms`;
      trials.push({ point: AT_RANDOM, kind: 'kill', what, run: (on) => on.withKillAfter(scenario, after) });
    }
  }
  return trials;
}

function shuffled<T>(all: readonly T[]): T[] {
  return all
    .map((one) => ({ one, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

function note(table: Map<string, Map<string, Cell>>, { point, kind, what }: Trial, outcome: Outcome): void {
  const row = table.get(point) ?? new Map<string, Cell>();
  table.set(point, row);
  const cell = row.get(kind) ?? { passed: 0, problems: [], live: new Set() };
  row.set(kind, cell);
  if (outcome.problems.length === 0) cell.passed += 1;
  cell.live.add(outcome.live);
  for (const problem of outcome.problems) {
    cell.problems.push(problem);
    console.log(`FAILED ${what}: ${problem}`);
  }
}

/** For each point and kind: how many trials passed, and which image clients have afterwards. */
function print(table: Map<string, Map<string, Cell>>, kinds: readonly string[]): void {
  console.log(['point'.padEnd(30), ...kinds.map((kind) => kind.padEnd(24))].join(''));
  for (const [point, row] of table) {
    const cells = kinds.map((kind) => {
      const cell = row.get(kind);
      if (cell === undefined) return '-';
      const failed = cell.problems.length > 0 ? ' FAILED' : '';
      return `${cell.passed} ok, ${[...cell.live].sort().join('/')}${failed}`;
    });
    console.log([point.padEnd(30), ...cells.map((cell) => cell.padEnd(24))].join(''));
  }
}
