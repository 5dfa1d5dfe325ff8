import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sweep } from '../../src/store/sweep.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'sweep-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const write = (file: string): string => {
  const whole = path.join(root, file);
  fs.mkdirSync(path.dirname(whole), { recursive: true });
  fs.writeFileSync(whole, file);
  return whole;
};
const paths = (): { images: string; state: string } => ({
  images: path.join(root, 'images'),
  state: path.join(root, 'state'),
});

it('removes temporary names and files of generations without an image, and nothing else', () => {
  const kept = [
    'images/amd64.img',
    'images/.lock',
    'images/.generations/amd64/20260101T000000Z.img',
    'images/.generations/amd64/20260101T000000Z.json',
    'images/.generations/amd64/20260101T000000Z.manifest',
    'images/.generations/amd64/rejected.img',
    'images/.generations/amd64/rejected.json',
    'images/.generations/amd64/of-somebody-else',
    'state/chroots/amd64.json',
    'state/history/amd64.jsonl',
  ].map(write);
  const left = [
    'images/.amd64.img.0123456789ab.tmp',
    'images/.generations/amd64/.20260101T000000Z.json.0123456789ab.tmp',
    'images/.generations/amd64/20260102T000000Z.partial',
    'images/.generations/amd64/20260102T000000Z.partial.excludes',
    'images/.generations/amd64/20260103T000000Z.json',
    'images/.generations/amd64/20260103T000000Z.manifest',
    'state/chroots/.amd64.json.0123456789ab.tmp',
  ].map(write);
  expect(sweep(paths()).sort()).toEqual(left.sort());
  for (const file of kept) expect(fs.existsSync(file), file).toBe(true);
  for (const file of left) expect(fs.existsSync(file), file).toBe(false);
  expect(sweep(paths())).toEqual([]);
});

it('has nothing to do where nothing is', () => {
  expect(sweep(paths())).toEqual([]);
});
