import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestNow } from '../../src/store/digest.ts';
import { generationDirectory, imageFile, imageOf, oldFile, recordOf } from '../../src/store/layout.ts';
import { readLinks } from '../../src/store/links.ts';
import { generations, readRecord } from '../../src/store/records.ts';
import { switchTo } from '../../src/store/switch.ts';
import { sameFile } from '../../src/system/durable.ts';
import { addImage, makeStore } from './store.ts';

const A = '20260101T000000Z';
const B = '20260102T000000Z';
const C = '20260103T000000Z';
const NOW = Date.parse('2026-02-01T00:00:00Z');

let paths: { images: string; state: string };
beforeEach(() => {
  paths = makeStore();
  for (const id of [A, B, C]) addImage(paths, 'amd64', id, `image ${id}`);
});
afterEach(() => fs.rmSync(path.dirname(paths.images), { recursive: true }));

const names = (): string[] => fs.readdirSync(paths.images).filter((name) => name !== '.generations');

describe('switchTo', () => {
  it.each([
    { from: [null, null], to: [A, null] },
    { from: [A, null], to: [B, A] },
    { from: [B, A], to: [C, B] },
    { from: [C, B], to: [B, C] },
    { from: [C, B], to: [B, A] },
    { from: [B, A], to: [C, A] },
    { from: [B, A], to: [B, A] },
    { from: [B, B], to: [B, A] },
    { from: [A, null], to: [null, null] },
    { from: [B, A], to: [A, null] },
  ])('goes from $from to $to, and no other name is left behind', ({ from, to }) => {
    const [fromCurrent = null, fromPrevious = null] = from;
    const [current = null, previous = null] = to;
    switchTo(paths, 'amd64', { current: fromCurrent, previous: fromPrevious }, NOW);
    switchTo(paths, 'amd64', { current, previous }, NOW);
    const target = (id: string | null) => (id === null ? { kind: 'absent' } : { kind: 'generation', id });
    expect(readLinks(paths, 'amd64')).toEqual({ current: target(current), previous: target(previous) });
    expect(names()).toHaveLength([current, previous].filter((id) => id !== null).length);
    expect(generations(paths, 'amd64').generations).toHaveLength(3);
  });

  it('remembers when a generation was replaced, and forgets it when it comes back', () => {
    switchTo(paths, 'amd64', { current: A, previous: null }, NOW);
    expect(readRecord(paths, 'amd64', A)?.replacedAt).toBeNull();
    switchTo(paths, 'amd64', { current: B, previous: A }, NOW + 1000);
    expect(readRecord(paths, 'amd64', A)?.replacedAt).toBe('2026-02-01T00:00:01.000Z');
    expect(readRecord(paths, 'amd64', B)?.replacedAt).toBeNull();
    switchTo(paths, 'amd64', { current: A, previous: B }, NOW + 2000);
    expect(readRecord(paths, 'amd64', A)?.replacedAt).toBeNull();
    expect(readRecord(paths, 'amd64', B)?.replacedAt).toBe('2026-02-01T00:00:02.000Z');
  });

  it('switches to an image whose record is damaged', () => {
    fs.writeFileSync(recordOf(paths, 'amd64', A), '{');
    switchTo(paths, 'amd64', { current: A, previous: null }, NOW);
    expect(sameFile(imageFile(paths, 'amd64'), imageOf(paths, 'amd64', A))).toBe(true);
  });

  it('changes nothing when a generation is missing', () => {
    switchTo(paths, 'amd64', { current: A, previous: null }, NOW);
    fs.rmSync(imageOf(paths, 'amd64', C));
    expect(() => switchTo(paths, 'amd64', { current: C, previous: B }, NOW)).toThrow(`cannot switch amd64 to ${C}`);
    expect(readLinks(paths, 'amd64')).toEqual({
      current: { kind: 'generation', id: A },
      previous: { kind: 'absent' },
    });
  });

  it('keeps an image that another program put there in the last moment as a generation', () => {
    switchTo(paths, 'amd64', { current: A, previous: B }, NOW);
    fs.writeFileSync(path.join(paths.images, 'new'), 'foreign image');
    fs.renameSync(path.join(paths.images, 'new'), imageFile(paths, 'amd64'));
    const { digest } = digestNow(imageFile(paths, 'amd64'));
    switchTo(paths, 'amd64', { current: C, previous: A }, NOW);
    const kept = generations(paths, 'amd64').generations.filter(({ builder }) => builder === 'foreign');
    expect(kept).toMatchObject([{ digest, replacedAt: '2026-02-01T00:00:00.000Z' }]);
    expect(fs.readFileSync(imageOf(paths, 'amd64', kept[0]?.id ?? ''), 'utf8')).toBe('foreign image');
  });

  it('keeps one file that another program put at both names as one generation', () => {
    fs.writeFileSync(imageFile(paths, 'amd64'), 'foreign image');
    fs.linkSync(imageFile(paths, 'amd64'), oldFile(paths, 'amd64'));
    switchTo(paths, 'amd64', { current: C, previous: A }, NOW);
    const { generations: kept, problems } = generations(paths, 'amd64');
    expect(kept.filter(({ builder }) => builder === 'foreign')).toHaveLength(1);
    expect(problems).toEqual([]);
  });

  it('says in plain words that the generations are on another file system', () => {
    fs.rmSync(generationDirectory(paths, 'amd64'), { recursive: true });
    fs.mkdirSync(generationDirectory(paths, 'amd64'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', generationDirectory(paths, 'amd64')]);
    try {
      addImage(paths, 'amd64', A, 'a');
      expect(() => switchTo(paths, 'amd64', { current: A, previous: null }, NOW)).toThrow(
        `cannot switch amd64: ${paths.images}/.generations must be on the file system of ${paths.images}`,
      );
      expect(names()).toEqual([]);
    } finally {
      execFileSync('umount', [generationDirectory(paths, 'amd64')]);
    }
  });
});

/** Opens and digests the file named without pause until its input ends; tells of the first read, and at the end of all. */
const READER = `
const fs = require('node:fs'), { createHash } = require('node:crypto');
const seen = {}; let ended = false, reads = 0, failures = [];
process.stdin.on('end', () => { ended = true; }).resume();
(function read() {
  const last = ended;
  try {
    const digest = createHash('sha256').update(fs.readFileSync(process.argv[1])).digest('hex');
    seen[digest] = (seen[digest] ?? 0) + 1;
  } catch (error) { failures.push(String(error)); }
  if (reads++ === 0) console.log('reading');
  if (last) console.log(JSON.stringify({ reads, failures, seen: Object.keys(seen).sort() }));
  else setImmediate(read);
})();`;

it('a reader that opens NAME.img without pause never misses it through 500 switches and sees whole images only', async () => {
  for (const [id, byte] of [
    [A, 'a'],
    [B, 'b'],
  ] as const) {
    fs.rmSync(imageOf(paths, 'amd64', id));
    addImage(paths, 'amd64', id, byte.repeat(300_000));
  }
  switchTo(paths, 'amd64', { current: A, previous: B }, NOW);
  const reader = spawn(process.execPath, ['-e', READER, imageFile(paths, 'amd64')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(reader.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('reading');
  // odd, so that the last read sees the other one in any case
  for (let turn = 0; turn < 501; turn += 1) {
    const [current, previous] = turn % 2 === 0 ? [B, A] : [A, B];
    switchTo(paths, 'amd64', { current, previous }, NOW + turn);
  }
  reader.stdin.end();
  const { reads, failures, seen } = JSON.parse((await lines.next()).value);
  await once(reader, 'close');
  expect(failures).toEqual([]);
  expect(seen).toEqual([A, B].map((id) => digestNow(imageOf(paths, 'amd64', id)).digest).sort());
  expect(reads).toBeGreaterThan(100);
});
