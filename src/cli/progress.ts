import { humanAge } from '../report/amounts.ts';
import type { Progress } from '../report/control.ts';

/** A stage of the work for one chroot, and where in it we began to look. */
type Stage = { text: string; since: number; from: number };

/**
 * Shows what goes on: on a terminal as one line that is written over, with percents and the time left, elsewhere each
 * stage once.
 * @param now milliseconds of any clock that only goes forward
 */
export function progressLine(
  stream: Pick<NodeJS.WriteStream, 'write'> & { isTTY?: boolean; columns?: number },
  now: () => number = () => performance.now(),
): { show: (progress: Progress) => void; end: () => void } {
  const stages = new Map<string, Stage>();
  let shown = false;
  return {
    show: ({ name, text, percent }) => {
      const known = stages.get(name);
      const stage = known?.text === text ? known : { text, since: now(), from: percent ?? 0 };
      stages.set(name, stage);
      if (stream.isTTY === true) {
        shown = true;
        const percents = percent === null ? '' : ` ${percent} %${timeLeft(stage, percent, now())}`;
        // a terminal that does not know its width says 0
        const width = stream.columns || 80;
        const line = `${name}: ${text}${percents}`.slice(0, width - 1);
        stream.write(`\r\x1b[K${line}`);
      } else if (stage !== known) {
        stream.write(`${name}: ${text}\n`);
      }
    },
    end: () => {
      if (shown) stream.write('\r\x1b[K');
      shown = false;
    },
  };
}

/** From what a few percents took; before that a number would only be a guess. */
function timeLeft({ since, from }: Stage, percent: number, at: number): string {
  const done = percent - from;
  if (done < 3 || percent >= 100) return '';
  return `, about ${humanAge(((at - since) / done) * (100 - percent))} left`;
}
