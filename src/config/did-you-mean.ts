/** The word that differs least from `word`, when it differs in no more than a third of its letters. */
export function closest(word: string, words: readonly string[]): string | undefined {
  const [best] = words
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((one, other) => one.distance - other.distance);
  return best?.candidate;
}

/** Letters to insert, remove, replace or swap with their neighbour to make one word of the other. */
export function editDistance(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 0; i < one.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < other.length; j += 1) {
      const replaced = (row[j] ?? 0) + (one[i] === other[j] ? 0 : 1);
      const swapped = i > 0 && j > 0 && one[i] === other[j - 1] && one[i - 1] === other[j];
      const ways = [replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1];
      next.push(Math.min(...ways, ...(swapped ? [(before[j - 1] ?? 0) + 1] : [])));
    }
    before = row;
    row = next;
  }
  return row.at(-1) ?? 0;
}
