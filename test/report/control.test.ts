import { describe, expect, it } from 'vitest';
import { exitCodeOf, type Outcome } from '../../src/report/control.ts';

const outcomes = (...kinds: Outcome['kind'][]): Outcome[] =>
  kinds.map((kind) => ({ name: 'amd64', kind, message: '', id: null }));

describe('exitCodeOf', () => {
  it.each<[Outcome['kind'], number]>([
    ['published', 0],
    ['unchanged', 0],
    ['reverted', 0],
    ['released', 0],
    ['skipped', 0],
    ['failed', 1],
    ['busy', 1],
    ['cancelled', 1],
    ['unknown', 2],
    ['rejected', 3],
  ])('of %s is %d', (kind, code) => expect(exitCodeOf(outcomes(kind))).toBe(code));

  it('of nothing is 0', () => expect(exitCodeOf([])).toBe(0));

  it('of several tells the worst for the images', () => {
    expect(exitCodeOf(outcomes('published', 'failed', 'unknown', 'rejected'))).toBe(3);
    expect(exitCodeOf(outcomes('unknown', 'published', 'busy'))).toBe(1);
    expect(exitCodeOf(outcomes('unchanged', 'unknown'))).toBe(2);
  });
});
