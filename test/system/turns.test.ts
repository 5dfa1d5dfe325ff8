import { expect, it } from 'vitest';
import { Turns } from '../../src/system/turns.ts';

it('runs one after the other, and goes on after one that failed', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const work = (name: string) => async (): Promise<string> => {
    order.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(`${name} ends`);
    if (name === 'one') throw new Error(name);
    return name;
  };
  const all = ['one', 'two', 'three'].map((name) => turns.take(work(name)));
  await expect(all[0]).rejects.toThrow('one');
  expect(await Promise.all(all.slice(1))).toEqual(['two', 'three']);
  expect(order).toEqual(['one begins', 'one ends', 'two begins', 'two ends', 'three begins', 'three ends']);
});
