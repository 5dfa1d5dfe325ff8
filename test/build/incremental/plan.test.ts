import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Plan, plan, walkOrder } from '../../../src/build/incremental/plan.ts';
import type { Entry } from '../../../src/tree/entry.ts';
import { manifestLine } from '../../../src/tree/manifest.ts';

const STARTED = 5_000_000_000_000n;
const BEFORE = STARTED - 1_000_000_000n;

/** An entry of a tree: which file it is, and when it was changed. */
type Node = { path: string; ino: number; ctime: bigint; size: number };

const name = fc.constantFrom('a', 'a-b', 'a.b', 'b', 'ü', 'z\n', '0');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const node: fc.Arbitrary<Node> = fc.record({
  path,
  ino: fc.nat(30),
  ctime: fc.constantFrom(BEFORE, BEFORE + 1n, STARTED - 5_000_000n, STARTED, STARTED + 1n),
  size: fc.nat(2),
});
const tree = fc.uniqueArray(node, { selector: (one) => one.path, maxLength: 30 }).map(walked);

function walked(nodes: readonly Node[], dev = 1n): Entry[] {
  return [...nodes].sort((one, other) => walkOrder(one.path, other.path)).map((one) => entryOf(one, dev));
}

function entryOf({ path: at, ino, ctime, size }: Node, dev = 1n): Entry {
  const inode = { dev, ino: BigInt(ino), nlink: 1, rdev: 0, target: '', ignored: false };
  return { path: at, type: 'file', mode: 0o644, uid: 0, gid: 0, size, mtime: BEFORE, ctime, ...inode };
}

function planOf(before: readonly Entry[], now: readonly Entry[]): Plan {
  const former = { started: STARTED, lines: before.map(manifestLine) };
  return plan(former, { entries: now, lines: now.map(manifestLine) });
}

describe('a plan', () => {
  it('has each entry once, kept or changed, and each path that is no more', () => {
    fc.assert(
      fc.property(tree, tree, (before, now) => {
        const { kept, changed, gone } = planOf(before, now);
        const all = [...kept.map(({ index }) => index), ...changed].sort((one, other) => one - other);
        expect(all).toEqual(now.map((_, index) => index));
        const paths = new Set(now.map((entry) => entry.path));
        expect(gone).toEqual(before.map((entry) => entry.path).filter((one) => !paths.has(one)));
      }),
    );
  });

  it('keeps only what was there as the same file, unwritten since long before the former walk', () => {
    fc.assert(
      fc.property(tree, tree, (before, now) => {
        for (const { index, from, path: at } of planOf(before, now).kept) {
          const [was, is] = [before[from], now[index]];
          expect(was?.path).toBe(at);
          expect([is?.ino, is?.ctime, is?.size]).toEqual([was?.ino, was?.ctime, was?.size]);
          expect(is?.ctime).toBeLessThan(STARTED - 9_999_999n);
        }
      }),
    );
  });

  it('keeps all that is settled in a tree in which nothing happened, also on a device of another number', () => {
    fc.assert(
      fc.property(fc.uniqueArray(node, { selector: (one) => one.path }), fc.constantFrom(1n, 77n), (nodes, dev) => {
        const now = walked(nodes, dev);
        const { kept } = planOf(walked(nodes), now);
        const settled = now.flatMap(({ ctime }, index) => (ctime === BEFORE || ctime === BEFORE + 1n ? [index] : []));
        expect(kept.map(({ index }) => index)).toEqual(settled);
      }),
    );
  });

  it('keeps the files of a renamed directory, whatever names come before and behind it, in their former order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(node, { selector: (one) => one.path }), name, name, (nodes, one, other) => {
        const distinct = nodes.map((each, index) => ({ ...each, ino: index, ctime: BEFORE }));
        // every name becomes another one or stays, none becomes two
        const swap = (part: string): string => (part === one ? other : part === other ? one : part);
        const renamed = distinct.map((each) => ({ ...each, path: each.path.split('/').map(swap).join('/') }));
        const { kept, changed } = planOf(walked(distinct), walked(renamed));
        expect(changed).toEqual([]);
        const origins = kept.map(({ from }) => from);
        expect(origins).toEqual(distinct.map((_, index) => index));
      }),
    );
  });

  it('reads what has the inode number of a file that was elsewhere on another device', () => {
    const before = walked([{ path: 'a', ino: 7, ctime: BEFORE, size: 1 }]);
    const now = walked([{ path: 'b', ino: 7, ctime: BEFORE, size: 1 }], 2n);
    expect(planOf(before, now)).toEqual({ kept: [], changed: [0], gone: ['a'] });
  });
});

describe('the order of a walk', () => {
  it('has siblings by bytes, and all that is in a directory right behind it', () => {
    const paths = ['', 'a', 'a/b', 'a/b/c', 'a/b.c', 'a/\xff', 'a\n', 'a-b', 'a-b/c', 'a.', 'aa'];
    const shuffled = fc.shuffledSubarray(paths, { minLength: paths.length });
    fc.assert(
      fc.property(shuffled, (some) => {
        expect([...some].sort(walkOrder)).toEqual(paths);
      }),
    );
  });
});
