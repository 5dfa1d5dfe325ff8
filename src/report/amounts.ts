const SIZES = ['kB', 'MB', 'GB', 'TB'];
const AGES = [
  ['s', 1_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
] as const;

/** Bytes as `812 MB` or `1.4 GB`: decimal units, at most three digits. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 'B';
  for (const larger of SIZES) {
    if (value < 999.5) break;
    value /= 1_000;
    unit = larger;
  }
  const digits = unit === 'B' || value >= 9.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${unit}`;
}

/** Milliseconds as `40 s`, `5 min`, `3 h` or `12 d`, rounded down; nothing and less are `0 s`. */
export function humanAge(milliseconds: number): string {
  const [unit, size] = AGES.findLast(([, one]) => milliseconds >= one) ?? AGES[0];
  return `${Math.max(0, Math.floor(milliseconds / size))} ${unit}`;
}
