/** Counts the bytes of ranges that may lie over each other, each byte once. */
export type LiveBytes = { add: (start: number, length: number) => void; count: () => number };

export function createLiveBytes(): LiveBytes {
  const starts: number[] = [];
  const ends: number[] = [];
  return {
    add: (start, length) => {
      if (length === 0) return;
      starts.push(start);
      ends.push(start + length);
    },
    count: () => {
      const order = Uint32Array.from(starts.keys()).sort((one, other) => (starts[one] ?? 0) - (starts[other] ?? 0));
      let total = 0;
      let covered = 0;
      for (const index of order) {
        const end = ends[index] ?? 0;
        total += Math.max(0, end - Math.max(starts[index] ?? 0, covered));
        covered = Math.max(covered, end);
      }
      return total;
    },
  };
}
