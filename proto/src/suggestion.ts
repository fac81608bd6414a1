/** Did you mean: the nearest of some words by edit distance. */

const WORD_LENGTH_MAX = 64;

/**
 * Edits that turn `from` into `to`: insert, delete or replace a character, or swap two neighbours (optimal string
 * alignment). Letter case counts.
 */
export function editDistance(from: string, to: string): number {
  const width = to.length + 1;
  const cell = new Uint32Array((from.length + 1) * width);
  const at = (row: number, column: number) => cell[row * width + column] ?? 0;
  for (let row = 0; row <= from.length; row++) {
    for (let column = 0; column <= to.length; column++) {
      let best: number;
      if (row === 0 || column === 0) {
        best = row + column;
      } else {
        const replaced = from[row - 1] === to[column - 1] ? 0 : 1;
        best = Math.min(
          at(row - 1, column) + 1,
          at(row, column - 1) + 1,
          at(row - 1, column - 1) + replaced,
        );
        const swapped =
          row > 1 &&
          column > 1 &&
          from[row - 1] === to[column - 2] &&
          from[row - 2] === to[column - 1];
        if (swapped) best = Math.min(best, at(row - 2, column - 2) + 1);
      }
      cell[row * width + column] = best;
    }
  }
  return at(from.length, to.length);
}

/**
 * The candidate that `word` was probably meant to be: at most one edit for each three letters, letter case, dashes and
 * underscores not counted. Undefined when none is that near; the first of equals wins.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > WORD_LENGTH_MAX) return undefined;
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, '');
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(plain(word), plain(candidate));
    const editsMax = Math.ceil(Math.max(word.length, candidate.length) / 3);
    if (distance < bestDistance && distance <= editsMax && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
