import { describe, expect, test } from 'vitest';
import { progressLine } from '../../src/cli/progress.ts';

const CLEAR = '\r\x1b[K';

function shown(terminal: 'terminal' | 'file', columns = 60) {
  const written: string[] = [];
  const clock = { now: 0 };
  const stream = {
    isTTY: terminal === 'terminal',
    columns,
    write: (text: string | Uint8Array) => {
      written.push(String(text).replaceAll(CLEAR, '|'));
      return true;
    },
  };
  return { written, clock, line: progressLine(stream, () => clock.now) };
}

describe('progressLine', () => {
  test('on a terminal shows percents, and the time left as soon as it can be told', () => {
    const { written, clock, line } = shown('terminal');
    line.show({ name: 'amd64', text: 'reading the chroot', percent: null });
    line.show({ name: 'amd64', text: 'building the image', percent: 0 });
    clock.now = 1000;
    line.show({ name: 'amd64', text: 'building the image', percent: 1 });
    clock.now = 20_000;
    line.show({ name: 'amd64', text: 'building the image', percent: 20 });
    line.show({ name: 'amd64', text: 'building the image', percent: 100 });
    line.end();
    line.end();
    expect(written).toEqual([
      '|amd64: reading the chroot',
      '|amd64: building the image 0 %',
      '|amd64: building the image 1 %',
      '|amd64: building the image 20 %, about 1 min left',
      '|amd64: building the image 100 %',
      '|',
    ]);
  });

  test('a new stage is timed by itself, and a line never gets longer than the terminal', () => {
    const { written, clock, line } = shown('terminal');
    line.show({ name: 'a', text: 'one', percent: 0 });
    clock.now = 60_000;
    line.show({ name: 'a', text: 'two', percent: 50 });
    clock.now = 70_000;
    line.show({ name: 'a', text: 'two', percent: 60 });
    line.show({ name: 'a', text: 'x'.repeat(100), percent: null });
    expect(written.slice(2)).toEqual(['|a: two 60 %, about 40 s left', `|a: ${'x'.repeat(56)}`]);
  });

  test('a terminal that does not know its width gets the usual one', () => {
    const { written, line } = shown('terminal', 0);
    line.show({ name: 'a', text: 'x'.repeat(100), percent: null });
    expect(written).toEqual([`|a: ${'x'.repeat(76)}`]);
  });

  test('elsewhere each stage of each chroot is a line, once', () => {
    const { written, line } = shown('file');
    for (const percent of [0, 50]) line.show({ name: 'a', text: 'building', percent });
    line.show({ name: 'b', text: 'building', percent: 0 });
    line.show({ name: 'a', text: 'building', percent: 99 });
    line.show({ name: 'a', text: 'checking', percent: null });
    line.end();
    expect(written).toEqual(['a: building\n', 'b: building\n', 'a: checking\n']);
  });
});
