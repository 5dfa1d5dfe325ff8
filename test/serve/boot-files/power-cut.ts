import fs from 'node:fs';
import path from 'node:path';
import { vi } from 'vitest';
import { exchange } from '../../../src/system/posix.ts';

/** The calls of node:fs by which the file system changes. */
const CHANGING = [
  ...['mkdirSync', 'renameSync', 'linkSync', 'symlinkSync', 'unlinkSync', 'rmSync', 'rmdirSync', 'chmodSync'],
  ...['chownSync', 'writeFileSync', 'copyFileSync'],
] as const;

/**
 * Runs `work` with a power cut at its `at`-th change of the file system (from 1 on): that call and every later one does
 * nothing and throws, so that no error handling can clean up. A recursive removal is cut in its middle.
 * @returns whether the cut came; otherwise `work` was done before
 */
export async function withPowerCut(
  at: number,
  work: (exchangeOrCut: typeof exchange) => void | Promise<void>,
): Promise<'cut' | 'done'> {
  let changes = 0;
  const isOff = (): boolean => {
    changes += 1;
    return changes >= at;
  };
  const cut = (): never => {
    throw new Error('power cut');
  };
  const spies = CHANGING.map((name) => {
    const real: unknown = fs[name];
    if (typeof real !== 'function') throw new Error(`no fs.${name}`);
    return vi.spyOn(fs, name as 'rmSync').mockImplementation((...args: unknown[]) => {
      if (!isOff()) return Reflect.apply(real, fs, args);
      if (name === 'rmSync' && changes === at) removeHalf(String(args[0]));
      return cut();
    });
  });
  const openFile = fs.promises.open;
  const openSpy = vi.spyOn(fs.promises, 'open').mockImplementation((...args) => (isOff() ? cut() : openFile(...args)));
  try {
    await work((one, other) => (isOff() ? cut() : exchange(one, other)));
    return 'done';
  } catch (error) {
    if (changes < at) throw error;
    return 'cut';
  } finally {
    for (const spy of [...spies, openSpy]) spy.mockRestore();
  }
}

function removeHalf(directory: string): void {
  if (fs.lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort().reverse();
  for (const name of names.slice(0, Math.ceil(names.length / 2))) {
    const file = path.join(directory, name);
    if (fs.lstatSync(file).isDirectory()) fs.rmdirSync(file);
    else fs.unlinkSync(file);
  }
}
