import type { Progress } from '../report/control.ts';

/** Shows what goes on: on a terminal as one line that is written over, elsewhere each stage once. */
export function progressLine(stream: NodeJS.WriteStream): { show: (progress: Progress) => void; end: () => void } {
  const stages = new Map<string, string>();
  let shown = false;
  return {
    show: ({ name, text, percent }) => {
      const percents = percent === null ? '' : ` ${percent} %`;
      if (stream.isTTY) {
        shown = true;
        const line = `${name}: ${text}${percents}`.slice(0, (stream.columns ?? 80) - 1);
        stream.write(`\r\x1b[K${line}`);
      } else if (stages.get(name) !== text) {
        stages.set(name, text);
        stream.write(`${name}: ${text}\n`);
      }
    },
    end: () => {
      if (shown) stream.write('\r\x1b[K');
      shown = false;
    },
  };
}
