/** Part `index` (from 0) of `of` equal ones. */
export type Share = { index: number; of: number };

/** Neighbours in a tree are neighbours in an image, and one block of it holds many small ones. */
const NEIGHBOURS = 64;

/** The items of one share; together the shares have each item once. */
export function inShare<T>(items: readonly T[], { index, of }: Share): T[] {
  return items.filter((_, at) => Math.floor(at / NEIGHBOURS) % of === index);
}

/** A new order of the items, the same for the same seed (a 32-bit integer). */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  const start = mixed(seed);
  const keyed = items.map((item, index) => ({ item, key: mixed(start + index) }));
  return keyed.sort((one, other) => one.key - other.key).map(({ item }) => item);
}

/** Another number of 32 bits for each, in which every bit depends on all of the former (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
